/**
 * Conversations and running jobs, kept in the browser. Tabs share them and hear of each
 * other's changes.
 */

/** @import { Tables, Batch } from "./database.js" */
/** @import { Change, Conversation, Job, Message, PictureRef, Transcript } from "./records.js" */

import { openTables } from "./database.js";
import { newId, ownName } from "./ids.js";
import { PictureStore } from "./picture_store.js";

const MOST_CONVERSATIONS = 1000;
/** How long a removed conversation can come back. */
export const UNDO_MS = 10_000;
/** Longer than the server is silent in a stream. */
const LEASE_MS = 15_000;

/**
 * @param {string} [name] of the database
 * @returns {Promise<Store>} swept if possible: see `Store.sweep`
 */
export async function openStore(name = ownName("edge-vl")) {
  const store = new Store(await openTables(name), name);
  await store.sweep(Date.now()).catch(console.error); // tidying up, which a full disk refuses
  return store;
}

export class Store {
  /** Names this tab among the others, also after a reload. */
  tab = nameOfTab();
  #tables;
  #channel;
  /** @type {Set<(change: Change) => void>} */
  #listeners = new Set();

  /** @param {Tables} tables @param {string} name of the channel between tabs */
  constructor(tables, name) {
    this.#tables = tables;
    this.pictures = new PictureStore(tables);
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }) => this.#tell(data);
  }

  /** Whether what is written outlives this page. */
  get isKept() {
    return this.#tables.isKept;
  }

  /**
   * Calls `listener` after each change, also of other tabs.
   *
   * @param {(change: Change) => void} listener
   * @returns {() => void} ends it
   */
  watch(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @returns {Promise<Conversation[]>} the newest first, without removed and empty ones */
  async conversations() {
    const rows = await this.#conversations();
    return rows.filter((row) => !row.removed && !isEmpty(row)).sort((a, b) => b.updated - a.updated);
  }

  /** @param {string} text @returns {Promise<Set<string>>} conversations that contain it */
  async search(text) {
    const wanted = text.toLowerCase();
    const messages = await this.#messages();
    const titled = (await this.conversations()).filter(({ title }) => title.toLowerCase().includes(wanted));
    const found = messages.filter((message) => message.text.toLowerCase().includes(wanted));
    return new Set([...titled.map(({ id }) => id), ...found.map(({ conversation }) => conversation)]);
  }

  /** @param {string} id @returns {Promise<Transcript | null>} messages in time order */
  async read(id) {
    const row = await this.#tables.get("conversations", id);
    const messages = await this.#messages(id);
    messages.sort((a, b) => a.created - b.created);
    return row ? { conversation: /** @type {Conversation} */ (row), messages } : null;
  }

  /**
   * Writes them together, over older ones of the same names.
   *
   * @param {Transcript} transcript of which `messages` may be a part
   * @param {Job} [job] the first one of its message, from now on this tab's
   */
  async write({ conversation, messages }, job) {
    /** @type {Required<Batch>["put"]} */
    const put = messages.map((message) => ["messages", message]);
    put.push(["conversations", conversation]);
    if (job) put.push(["jobs", { ...job, tab: this.tab, lease: Date.now() + LEASE_MS }]);
    await this.#tables.write({ put });
    this.#announce({ conversation: conversation.id });
  }

  /** The same, with a job in place of all others of its message. @param {Transcript} transcript @param {Job} job */
  async rewrite(transcript, job) {
    await this.#abandonJobs(job);
    await this.write(transcript, job);
  }

  /** @param {string} id @param {Partial<Conversation>} changes */
  async changeConversation(id, changes) {
    await this.#tables.update("conversations", id, (row) => row && { ...row, ...changes });
    this.#announce({ conversation: id });
  }

  /** @param {string} id @returns {Promise<Message | undefined>} */
  async message(id) {
    return /** @type {Message | undefined} */ (await this.#tables.get("messages", id));
  }

  /**
   * @param {string} id
   * @param {(row: Message) => Partial<Message> | null} change null: none
   * @returns {Promise<Message | null>} null: not changed
   */
  async changeMessage(id, change) {
    const row = await this.#tables.update("messages", id, (row) => {
      const changes = row && change(/** @type {Message} */ (row));
      return changes && { ...row, ...changes };
    });
    if (row) this.#announce({ conversation: row.conversation, message: id });
    return /** @type {Message | null} */ (row);
  }

  /**
   * Removes conversations for good, and abandons their jobs. To remove them with a way
   * back, change `removed` first; then their pictures go too.
   *
   * @param {string[]} ids
   */
  async purge(...ids) {
    const rows = (await this.#conversations()).filter(({ id, removed }) => removed && ids.includes(id));
    const removed = rows.flatMap(({ removed }) => removed ?? []);
    const gone = drafted(rows);
    for (const id of ids) {
      const messages = await this.#messages(id);
      if (rows.some((row) => row.id === id)) gone.push(...messages.flatMap(({ pictures }) => pictures));
      const jobs = /** @type {Job[]} */ (await this.#tables.all("jobs", id));
      for (const job of jobs) await this.abandonJob(job);
      /** @type {Required<Batch>["remove"]} */
      const remove = [["conversations", id]];
      for (const message of messages) remove.push(["messages", message.id]);
      await this.#tables.write({ remove });
      this.#announce({ conversation: id });
    }
    if (gone.length) await this.pictures.remove(gone, await this.#named(), Math.min(...removed));
  }

  /** @returns {Promise<Job[]>} the oldest first */
  async jobs() {
    const rows = /** @type {Job[]} */ (await this.#tables.all("jobs"));
    return rows.sort((a, b) => a.created - b.created);
  }

  /**
   * Takes or keeps a job for this tab, unless another tab that is alive has it.
   *
   * @param {string} key
   * @param {number} now
   * @returns {Promise<Job | null>} null: not for this tab
   */
  async claimJob(key, now) {
    const claimed = await this.#tables.update("jobs", key, (row) => {
      if (!row || (row.tab !== this.tab && isLeased(row.lease, now))) return null;
      return { ...row, tab: this.tab, lease: now + LEASE_MS };
    });
    return /** @type {Job | null} */ (claimed);
  }

  /** @param {string} key @param {string | null} job its name at the server */
  async nameJob(key, job) {
    await this.#tables.update("jobs", key, (row) => row && { ...row, job });
  }

  /** Keeps of a job only what ends it at the server: nobody waits for it. @param {Job} job */
  async abandonJob(job) {
    await this.#tables.update("jobs", job.key, (row) => row && { ...row, conversation: "", message: "", job: job.job ?? row.job });
    this.#announce({ conversation: job.conversation });
  }

  /** Abandons all jobs of the message that `next` is for. @param {Job} next */
  async #abandonJobs({ conversation, message }) {
    const jobs = /** @type {Job[]} */ (await this.#tables.all("jobs", conversation));
    for (const job of jobs) if (job.message === message) await this.abandonJob(job);
  }

  /** @param {string} key */
  async endJob(key) {
    const job = /** @type {Job | undefined} */ (await this.#tables.get("jobs", key));
    await this.#tables.write({ remove: [["jobs", key]] });
    if (job) this.#announce({ conversation: job.conversation });
  }

  /**
   * Removes for good: the oldest of too many conversations, removed and empty ones, and
   * pictures that nothing names.
   *
   * @param {number} now
   */
  async sweep(now) {
    const excess = (await this.conversations()).slice(MOST_CONVERSATIONS);
    const isOld = (/** @type {Conversation} */ row) => (row.removed ?? (isEmpty(row) ? row.updated : now)) < now - UNDO_MS;
    const old = (await this.#conversations()).filter(isOld);
    await this.purge(...[...old, ...excess].map(({ id }) => id));
    await this.pictures.sweep(await this.#named(), now);
  }

  async #conversations() {
    return /** @type {Conversation[]} */ (await this.#tables.all("conversations"));
  }

  /** @param {string} [conversation] */
  async #messages(conversation) {
    return /** @type {Message[]} */ (await this.#tables.all("messages", conversation));
  }

  /** All pictures that a draft or a message names. In this order: a draft may become a message meanwhile. */
  async #named() {
    const drafts = drafted(await this.#conversations());
    return [...drafts, ...(await this.#messages()).flatMap(({ pictures }) => pictures)];
  }

  /** @param {Change} change */
  #announce(change) {
    this.#channel.postMessage(change);
    this.#tell(change);
  }

  /** @param {Change} change */
  #tell(change) {
    for (const listener of this.#listeners) listener(change);
  }
}

/** Not if it ends too late: the clock was set back since. @param {number | undefined} lease @param {number} now */
const isLeased = (lease, now) => lease !== undefined && lease > now && lease <= now + LEASE_MS;

/** Whether nothing is left of it: a question was begun and erased. @param {Conversation} row */
const isEmpty = ({ leaf, draft }) => leaf === null && !draft;

/** The pictures of questions that are being written. @param {Conversation[]} rows @returns {PictureRef[]} */
function drafted(rows) {
  const drafts = rows.flatMap(({ draft }) => (draft ? [draft, draft.before ?? draft] : []));
  return drafts.flatMap(({ pictures }) => pictures);
}

/** @returns {string} */
function nameOfTab() {
  const fresh = newId();
  try {
    const kept = sessionStorage.getItem("edge.tab") ?? fresh;
    sessionStorage.setItem("edge.tab", kept);
    return kept;
  } catch {
    return fresh; // blocked storage
  }
}
