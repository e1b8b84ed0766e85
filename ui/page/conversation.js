/** The conversation that is open: a tree of messages, of which one branch is shown. */

/** @import { Asked, Conversation, Draft, Job, Message, PictureRef, Transcript } from "./records.js" */
/** @import { Options } from "./request.js" */
/** @import { Store } from "./store.js" */
import { newId } from "./ids.js";
import { shownOf } from "./ready_task.js";
import { branch, newestLeaf } from "./tree.js";

const LONGEST_TITLE = 60;

/** Whether it is an answer that is still to come. @param {Message | undefined} message */
export const isRunning = (message) => ["next", "asked", "writing"].includes(message?.state ?? "");

/** The same, or a failed one that is asked for again by itself. @param {Message | undefined} message */
export const isAwaited = (message) => isRunning(message) || (message?.state === "failed" && Boolean(message.again));

/** @param {number} now @returns {Conversation} */
const fresh = (now) => ({ id: newId(), title: "", created: now, updated: now, leaf: null });

export class OpenConversation {
  /** @type {Conversation} */
  row = fresh(Date.now());
  /** @type {Message[]} */
  messages = [];
  #store;
  /** Writes begun and under way: what is read meanwhile is older than what is shown. */
  #nWrites = 0;
  #nWriting = 0;
  /** @type {Set<() => void>} */
  #listeners = new Set();

  /** @param {Store} store */
  constructor(store) {
    this.#store = store;
    store.watch(({ conversation }) => {
      if (conversation === this.row.id) void this.#refresh();
    });
  }

  /** Calls `listener` after each change. @param {() => void} listener */
  watch(listener) {
    this.#listeners.add(listener);
  }

  /** The messages of the branch that is shown. */
  get path() {
    return branch(this.messages, this.row.leaf);
  }

  /** All pictures of that branch. @returns {PictureRef[]} */
  get pictures() {
    return this.picturesBefore(null);
  }

  /** Those that a question in place of `message` comes after; null: a question at the end. @param {Message | null} message */
  picturesBefore(message) {
    return branch(this.messages, message ? message.parent : this.row.leaf).flatMap(({ pictures }) => pictures);
  }

  /** Closes it and begins an empty one. */
  begin() {
    this.row = fresh(Date.now());
    this.messages = [];
    this.#tell();
  }

  /** @param {string} id @returns {Promise<boolean>} whether there is one of this name */
  async open(id) {
    const found = await this.#store.read(id);
    if (!found || found.conversation.removed) return false;
    this.#take(found);
    return true;
  }

  /** Shows what is kept; the end of each write does it too. */
  async #refresh() {
    if (this.#nWriting) return;
    const [{ id }, nWrites] = [this.row, this.#nWrites];
    const found = await this.#store.read(id);
    if (this.row.id !== id || this.#nWrites !== nWrites) return;
    if (found) this.#take(found);
    else if (this.messages.length) this.begin(); // another tab has removed it
  }

  /** Waits for `writing`, of what is shown already; what cannot be kept is shown no longer. @param {Promise<void>} writing */
  async #write(writing) {
    this.#nWrites += 1;
    this.#nWriting += 1;
    try {
      await writing;
    } finally {
      this.#nWriting -= 1;
      await this.#refresh();
    }
  }

  /** @param {Transcript} transcript */
  #take({ conversation, messages }) {
    this.row = conversation;
    this.messages = messages;
    this.#tell();
  }

  #tell() {
    for (const listener of this.#listeners) listener();
  }

  /**
   * Adds a question and its answer to come behind `parent`, and shows them.
   * @param {string} text
   * @param {PictureRef[]} pictures
   * @param {Options} options
   * @param {string | null} [parent] the answer before it; the last one if not given
   * @param {Asked} [task] that the text comes from
   * @returns {Promise<Job>}
   */
  async ask(text, pictures, options, parent = this.row.leaf, task = undefined) {
    const question = { ...this.#message(parent, "user", text, pictures), ...(task && { task }) };
    return this.#add([question], question, options);
  }

  /**
   * Adds another answer to the question of `answer`.
   * @param {Message} answer
   * @param {Options} options
   */
  async again(answer, options) {
    const question = this.messages.find(({ id }) => id === answer.parent);
    if (!question) throw new Error("This answer has no question.");
    return this.#add([], question, options);
  }

  /** @param {Message[]} added @param {Message} question @param {Options} options */
  async #add(added, question, options) {
    const now = Date.now();
    const answer = { ...this.#message(question.id, "assistant", "", []), created: now + 1, settings: options, state: /** @type {const} */ ("asked") };
    const title = this.row.title || (shownOf(question) || question.pictures[0]?.name || "").slice(0, LONGEST_TITLE);
    const { draft: _, ...row } = this.row;
    const cover = this.row.cover ?? question.pictures[0];
    this.row = { ...row, title, cover, updated: now, leaf: answer.id };
    this.messages = [...this.messages, ...added, answer];
    this.#tell(); // before the store: the person sees it at once
    const job = { key: newId(), conversation: this.row.id, message: answer.id, job: null, created: now };
    await this.#write(this.#store.write({ conversation: this.row, messages: [...added, answer] }, job));
    return job;
  }

  /**
   * @param {string | null} parent
   * @param {"user" | "assistant"} role
   * @param {string} text
   * @param {PictureRef[]} pictures
   * @returns {Message}
   */
  #message(parent, role, text, pictures) {
    return { id: newId(), conversation: this.row.id, parent, role, text, pictures, created: Date.now(), state: "done" };
  }

  /**
   * Asks for a failed answer once more, in its place.
   * @param {Message} answer
   * @param {Options} options
   * @returns {Promise<Job>}
   */
  async retry({ id }, options) {
    const { error: _, again: __, tries: ___, ...found } = /** @type {Message} */ (this.messages.find((one) => one.id === id));
    const answer = { ...found, text: "", received: "0", state: /** @type {const} */ ("asked"), settings: options, thoughts: undefined, measured: undefined, marks: undefined };
    this.messages = this.messages.map((one) => (one.id === id ? answer : one));
    this.#tell();
    const job = { key: newId(), conversation: this.row.id, message: id, job: null, created: Date.now() };
    await this.#write(this.#store.rewrite({ conversation: this.row, messages: [answer] }, job));
    return job;
  }

  /** Keeps the question that is being written. @param {Draft} given */
  async draft(given) {
    const draft = given.text || given.pictures.length || given.edits ? given : undefined;
    if (JSON.stringify(draft) === JSON.stringify(this.row.draft)) return;
    this.row = { ...this.row, draft };
    await this.#write(this.#store.write({ conversation: this.row, messages: [] }));
  }

  /** Shows the branch of another alternative. @param {Message} message */
  async show(message) {
    this.row = { ...this.row, leaf: newestLeaf(this.messages, message.id) };
    this.#tell();
    await this.#write(this.#store.write({ conversation: this.row, messages: [] }));
  }
}
