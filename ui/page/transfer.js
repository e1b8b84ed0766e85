/** Conversations out of this browser and into another one, as files. */

/** @import { Mark } from "./overlay.js" */
/** @import { Asked, Message, PictureRef, Say, Transcript } from "./records.js" */
/** @import { Store } from "./store.js" */

import { dataUrl } from "./data_url.js";
import { newId } from "./ids.js";
import { N_HUES } from "./marks.js";

const FORMAT = "edge-vl conversations";
const MOST_FILE_BYTES = 512 << 20;
const MOST_EXPORT_BYTES = 128 << 20; // then the next file begins: a conversation is never divided
const MOST_MESSAGES = 10_000; // of one conversation
const MOST_PICTURES = 1000; // of one message: those of a question, or frames of its videos
const MOST_MARKS = 300; // of one answer, as the server finds them
const LONGEST_TEXT = 1_000_000; // characters of one message
/** Where a message begins; a Markdown viewer does not show it. */
const MARKER = /^<!-- edge-vl (user|assistant) -->$/m;

/** The file is not one that was exported here. */
export class ImportError extends Error {}

/**
 * @param {string} title
 * @param {Message[]} messages of one branch
 * @param {Say} say
 * @returns {Blob}
 */
export function toMarkdown(title, messages, say) {
  const parts = [`# ${title}\n`];
  for (const { role, text, pictures } of messages) {
    parts.push(`\n<!-- edge-vl ${role} -->\n`, `**${say(`role.${role}`)}**\n\n`);
    for (const { name } of pictures) parts.push(`*${name || say("picture")}*\n\n`);
    parts.push(`${text}\n`);
  }
  return new Blob(parts, { type: "text/markdown" });
}

/**
 * All conversations with their pictures, in files of about `mostBytes`: one that is longer
 * than a string may be could not be imported. The last one is returned.
 *
 * @param {Store} store
 * @param {number} [mostBytes]
 * @returns {AsyncGenerator<Blob, Blob>}
 */
export async function* toJson(store, mostBytes = MOST_EXPORT_BYTES) {
  let file = new Exported();
  for (const { id } of await store.conversations()) {
    if (file.size > mostBytes) {
      yield file.blob;
      file = new Exported();
    }
    const transcript = await store.read(id);
    if (transcript) await file.add(transcript, store);
  }
  return file.blob;
}

/** A file of JSON. Its parts are blobs, which a browser need not keep in memory. */
class Exported {
  size = 0;
  /** @type {Blob[]} */
  #transcripts = [];
  /** @type {Map<string, Blob>} by digest */
  #pictures = new Map();

  /** @param {Transcript} transcript @param {Store} store */
  async add(transcript, store) {
    this.#transcripts.push(this.#part(JSON.stringify(transcript)));
    const refs = transcript.messages.flatMap(({ pictures }) => pictures);
    for (const digest of refs.flatMap(({ sha256, original }) => [sha256, original])) {
      const blob = digest && !this.#pictures.has(digest) && (await store.pictures.read(digest));
      if (blob) this.#pictures.set(digest, this.#part(JSON.stringify(digest), ':"', await dataUrl(blob), '"'));
    }
  }

  /** @param {string[]} texts not joined: a picture is long */
  #part(...texts) {
    const part = new Blob(texts);
    this.size += part.size;
    return part;
  }

  get blob() {
    const list = (/** @type {Blob[]} */ parts) => parts.flatMap((part, n) => (n ? [",", part] : [part]));
    const head = `{"format":${JSON.stringify(FORMAT)},"version":1,"transcripts":[`;
    return new Blob([head, ...list(this.#transcripts), '],"pictures":{', ...list([...this.#pictures.values()]), "}}"], { type: "application/json" });
  }
}

/**
 * Adds the conversations of an exported file, under new names.
 *
 * @param {File} file JSON or Markdown
 * @param {Store} store
 * @returns {Promise<number>} how many. Rejects with ImportError or StorageFull.
 */
export async function importFile(file, store) {
  if (file.size > MOST_FILE_BYTES) throw new ImportError("The file is too large.");
  const text = await file.text();
  if (MARKER.test(text)) {
    await store.write(fromMarkdown(text));
    return 1;
  }
  const { transcripts, pictures } = parse(text);
  for (const [digest, url] of Object.entries(pictures)) {
    const blob = fromDataUrl(String(url));
    // kept by its own digest: a wrong one in the file leads to nothing
    if (blob) await store.pictures.keep(blob, isOriginal(digest, transcripts));
  }
  const read = transcripts.map(checked);
  for (const transcript of read) await store.write(transcript);
  return read.length;
}

/** @param {string} text @returns {{transcripts: any[], pictures: object}} */
function parse(text) {
  try {
    const { format, transcripts, pictures } = JSON.parse(text);
    if (format === FORMAT && Array.isArray(transcripts)) return { transcripts, pictures: pictures ?? {} };
  } catch {
    // said below
  }
  throw new ImportError("The file was not exported from this page.");
}

/** @param {string} digest @param {any[]} transcripts */
function isOriginal(digest, transcripts) {
  const all = transcripts.flatMap(({ messages }) => messages).flatMap(({ pictures }) => pictures ?? []);
  return !all.some(({ sha256 }) => sha256 === digest);
}

/**
 * What a file says, reduced to what this page knows; new names, so that nothing here is
 * written over.
 *
 * @param {any} given
 * @returns {Transcript}
 */
function checked(given) {
  const { conversation, messages } = given ?? {};
  if (!conversation || !Array.isArray(messages) || messages.length > MOST_MESSAGES) {
    throw new ImportError("A conversation in the file is damaged.");
  }
  const id = newId();
  const names = new Map(messages.map((one) => [one?.id, newId()]));
  const read = messages.map((one) => message(one, id, names));
  return {
    conversation: {
      id,
      title: text(conversation.title, 200),
      created: time(conversation.created),
      updated: time(conversation.updated),
      leaf: names.get(conversation.leaf) ?? read.at(-1)?.id ?? null,
      cover: read.flatMap(({ pictures }) => pictures)[0] ?? null,
    },
    messages: read,
  };
}

/**
 * @param {any} given @param {string} conversation @param {Map<string, string>} names
 * @returns {Message}
 */
function message(given, conversation, names) {
  const isDone = ["done", "stopped", "failed"].includes(given?.state);
  const isAnswer = given?.role === "assistant";
  return {
    id: /** @type {string} */ (names.get(given?.id)),
    conversation,
    parent: names.get(given?.parent) ?? null,
    role: isAnswer ? "assistant" : "user",
    text: text(given?.text, LONGEST_TEXT),
    ...(given?.task && { task: task(given.task) }),
    ...(typeof given?.thoughts === "string" && { thoughts: text(given.thoughts, LONGEST_TEXT) }),
    pictures: Array.isArray(given?.pictures) ? given.pictures.slice(0, MOST_PICTURES).map(picture) : [],
    created: time(given?.created),
    state: isDone ? given.state : "stopped", // its job is not here
    ...(typeof given?.finish_reason === "string" && { finish_reason: text(given.finish_reason, 100) }),
    ...(isAnswer && Array.isArray(given.marks) && { marks: given.marks.slice(0, MOST_MARKS).map(mark) }),
    ...(isAnswer && given.state === "failed" && given.error && { error: { code: text(given.error.code, 100), message: text(given.error.message, 1000) } }),
  };
}

/** @param {any} given @returns {Asked} */
const task = ({ id, name, words }) => ({ id: text(id, 100), name: text(name, 200), words: text(words, LONGEST_TEXT) });

/** @param {any} given @param {number} n @returns {Mark} */
function mark(given, n) {
  const share = (/** @type {unknown} */ part) => (Number.isFinite(part) ? Math.min(1, Math.max(0, Number(part))) : 0);
  const [width, height] = [share(given?.width), share(given?.height)];
  return {
    id: String(n),
    sha256: text(given?.sha256, 64),
    label: text(given?.label, 200),
    hue: Number.isInteger(given?.hue) ? Math.abs(given.hue) % N_HUES : 0,
    x: share(given?.x),
    y: share(given?.y),
    ...(width && height && { width, height }),
  };
}

/** @param {any} given @returns {PictureRef} */
function picture(given) {
  const count = (/** @type {unknown} */ n) => (Number.isFinite(n) ? Math.max(0, Number(n)) : 0);
  return {
    sha256: text(given?.sha256, 64),
    original: typeof given?.original === "string" ? text(given.original, 64) : null,
    name: text(given?.name, 200),
    width: count(given?.width),
    height: count(given?.height),
    rows: count(given?.rows),
    columns: count(given?.columns),
    ...(given?.isFirst === true && { isFirst: true }),
    ...(typeof given?.clip === "string" && { clip: text(given.clip, 64), seconds: count(given.seconds) }),
  };
}

/** @param {unknown} given @param {number} longest */
function text(given, longest) {
  return typeof given === "string" ? given.slice(0, longest) : "";
}

/** @param {unknown} given */
function time(given) {
  return Number.isFinite(given) ? Number(given) : Date.now();
}

/** @param {string} source @returns {Transcript} one branch, without pictures */
function fromMarkdown(source) {
  const [head, ...parts] = source.split(MARKER);
  const id = newId();
  const now = Date.now();
  /** @type {Message[]} */
  const messages = [];
  for (let i = 0; i + 1 < parts.length && messages.length < MOST_MESSAGES; i += 2) {
    messages.push({
      id: newId(),
      conversation: id,
      parent: messages.at(-1)?.id ?? null,
      role: parts[i] === "user" ? "user" : "assistant",
      text: text(parts[i + 1].trim().replace(/^\*\*.*\*\*\n+/, ""), LONGEST_TEXT),
      pictures: [],
      created: now + messages.length,
      state: "done",
    });
  }
  const title = text(head.trim().replace(/^# /, ""), 200);
  const leaf = messages.at(-1)?.id ?? null;
  return { conversation: { id, title, created: now, updated: now, leaf }, messages };
}

/** @param {string} url @returns {Blob | null} */
function fromDataUrl(url) {
  const [, type, base64] = /^data:(image\/[a-z+.-]+);base64,(.*)$/s.exec(url) ?? [];
  if (!base64) return null;
  try {
    const binary = atob(base64);
    const bytes = new Uint8Array(binary.length);
    for (let n = 0; n < binary.length; n++) bytes[n] = binary.charCodeAt(n); // `from` would make a list of characters
    return new Blob([bytes], { type });
  } catch {
    return null;
  }
}
