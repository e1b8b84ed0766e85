/**
 * Questions that are being answered, of all conversations: asked, followed to their end,
 * written to the store. Another tab's questions are left to it while it lives.
 */

/** @import { Job, Message } from "./records.js" */
/** @import { AnswerEvent } from "./resume.js" */
/** @import { Options } from "./request.js" */
/** @import { Service } from "./service.js" */
/** @import { Store } from "./store.js" */
import { cancelJob, send } from "./api.js";
import { isAwaited } from "./conversation.js";
import { needsLogin, pauseAfter } from "./failures.js";
import { Posting } from "./posting.js";
import { sentPictures } from "./request.js";
import { follow } from "./resume.js";
import { Running } from "./running.js";
import { branch } from "./tree.js";

const CLAIM_MS = 5000;
const WRITE_MS = 400;

export class Asking {
  #store;
  #service;
  #posting;
  /** @type {Map<string, Running>} by the name of the answer's message */
  #running = new Map();
  /** Keys of the jobs that are followed, or are about to be. @type {Set<string>} */
  #begun = new Set();
  /** Keys of jobs that go on at the server, and that this page may not read any longer. @type {Set<string>} */
  #barred = new Set();
  /** @type {Set<(message: string) => void>} */
  #listeners = new Set();

  /** @param {Store} store @param {Service} service */
  constructor(store, service) {
    this.#store = store;
    this.#service = service;
    this.#posting = new Posting(store, service);
    store.watch(({ message }) => void (message && this.#heedStop(message)));
  }

  /** Calls `listener` with the message of each answer that has news. @param {(message: string) => void} listener */
  watch(listener) {
    this.#listeners.add(listener);
  }

  /** The running answer of this tab, if `message` is one. @param {string} message */
  running(message) {
    return this.#running.get(message);
  }

  /** The answers that this tab follows. */
  all() {
    return [...this.#running.values()];
  }

  /** Goes on with all questions that no living tab follows, now and later. */
  async takeOver() {
    try {
      for (const job of await this.#store.jobs()) {
        if (this.#barred.has(job.key)) continue;
        const claimed = await this.#store.claimJob(job.key, Date.now());
        if (claimed && !this.#running.has(job.message)) void this.start(claimed);
      }
    } finally { // also when the disk is full for a moment
      setTimeout(() => void this.takeOver(), CLAIM_MS);
    }
  }

  /** Follows a question to its end, unless this tab does so already. @param {Job} job */
  async start(job) {
    if (this.#begun.has(job.key)) return;
    this.#begun.add(job.key);
    try {
      await this.#start(job);
    } finally {
      this.#begun.delete(job.key);
    }
  }

  /** @param {Job} job */
  async #start(job) {
    const now = Date.now();
    const found = await this.#store.read(job.conversation);
    const message = found?.messages.find(({ id }) => id === job.message);
    if (!found || !message || (message.state === "stopped" && job.job)) return this.#cancel(job);
    this.#barred.delete(job.key);
    if (message.state === "failed" && job.job) await this.#write(job, { state: message.text ? "writing" : "asked", error: undefined });
    const path = branch(found.messages, message.parent);
    const running = new Running(job, message, this.#price(path, message.settings ?? {}));
    this.#running.set(job.message, running);
    this.#tell(job.message);
    try {
      await this.#store.claimJob(job.key, now);
      await this.#predecessors(path);
      await this.#answer(running);
    } finally {
      // not before: takeOver would begin it again; nor if it was asked once more meanwhile
      if (this.#running.get(job.message) === running) this.#running.delete(job.message);
      this.#tell(job.message);
    }
  }

  /** Follows a question, again and again if it must be, until nothing is left to do for it. @param {Running} running */
  async #answer(running) {
    const { job } = running;
    running.isWaiting = false;
    this.#tell(job.message);
    if (running.isStopped) running.stop();
    do {
      if (running.again && !running.isStopped) await this.#askAgain(running);
      await this.#follow(running);
    } while (running.again && !running.isStopped);
    if (running.isStopped) await this.#endStopped(running);
    else if (!running.isLeft && !this.#barred.has(job.key)) await this.#store.endJob(job.key);
  }

  /** Waits until a question that failed is to be asked again. @param {Running} running */
  async #askAgain(running) {
    await running.pause();
    if (running.isStopped) return running.stop();
    const { message: id } = running.job;
    const change = { text: "", received: "0", thoughts: undefined, state: /** @type {const} */ ("asked"), error: undefined, again: undefined };
    const isOurs = await this.#store.changeMessage(id, ({ state, tries = 0 }) => (state === "failed" ? { ...change, tries: tries + 1 } : null));
    if (isOurs) running.restart();
    else if ((await this.#store.message(id))?.state === "stopped") running.stop();
    else running.leave();
  }

  /** Asks for a failed answer now, if it is to be asked for later. @param {Message} message */
  hurry({ id }) {
    const running = this.#running.get(id);
    running?.hurry();
    return Boolean(running); // it may be asked already
  }

  /** Goes on with an answer that could not be read without a login. @param {Message} message */
  async resume({ id }) {
    const job = (await this.#store.jobs()).find((one) => one.message === id && one.job);
    if (job) void this.start(job);
    return Boolean(job);
  }

  /** Ends an answer; what is there of it stays. @param {Message} message */
  async stop(message) {
    const running = this.#running.get(message.id);
    running?.stop(); // no event comes after it
    await this.#store.changeMessage(message.id, () => ({ ...running?.shown, state: "stopped", again: undefined }));
    if (running) return;
    const job = (await this.#store.jobs()).find((one) => one.message === message.id);
    if (job?.job) await this.#cancel(job);
  }

  /**
   * Ends a job at the server, if that has one. `takeOver` tries again until the server has
   * heard of it.
   *
   * @param {Job} job
   * @param {string | null} [name] at the server
   */
  async #cancel(job, name = job.job) {
    const cancelled = !name || cancelJob(name); // at once: the page may be closing
    await this.#store.abandonJob({ ...job, job: name }); // its message may be asked again
    if (await cancelled) await this.#store.endJob(job.key);
  }

  /** Ends the job of a stopped answer; one that may have a job is asked for its name later. @param {Running} running */
  async #endStopped({ job, name, progress }) {
    if (name || !progress.isLost) await this.#cancel(job, name);
  }

  /** Stops what a person has stopped in another tab. @param {string} id of a message */
  async #heedStop(id) {
    const running = this.#running.get(id);
    if (running && !running.isStopped && (await this.#store.message(id))?.state === "stopped") running.stop();
  }

  /** Resolves when the answers before the last question of `path` have ended. @param {Message[]} path @returns {Promise<void>} */
  #predecessors(path) {
    const before = path.at(-2);
    return new Promise((resolve) => {
      const check = async () => {
        const found = before && (await this.#store.read(before.conversation));
        if (found && branch(found.messages, before.id).some(isAwaited)) return;
        end();
        resolve();
      };
      const end = this.#store.watch(({ conversation }) => {
        if (conversation === before?.conversation) void check();
      });
      void check();
    });
  }

  /** @param {Message[]} path @param {Options} settings */
  #price(path, settings) {
    const pictures = sentPictures(path, this.#service.limits.pictures, settings);
    const letters = path.reduce((sum, { text }) => sum + text.length, 0);
    return this.#service.priceOf(pictures, letters, settings);
  }

  /** @param {Running} running */
  async #follow(running) {
    const { job } = running;
    /** @type {Partial<Message>} */
    let ending = { state: "stopped" };
    let written = 0;
    /** @param {AnswerEvent} event */
    const onEvent = async (event) => {
      const now = Date.now();
      switch (event.type) {
        case "job":
          if (event.job_id) await this.#store.nameJob(job.key, (job.job = event.job_id));
          if (event.cached) ending = { ...ending, measured: { ...ending.measured, cached: true } };
          break;
        case "progress":
          if (event.stage === "page") running.page = event.job_id;
          running.progress.observe(event, now);
          break;
        case "thoughts":
        case "text":
          running.progress.observeText(event.type, now);
          running[event.type] += event.text;
          running.received = event.at;
          if (!running.isStopped && now - written > WRITE_MS) {
            written = now;
            await this.#write(job, { ...running.shown, received: event.at, state: "writing" });
          }
          break;
        case "restart":
          job.job = null; // another one gets a name soon
          running.restart();
          running.progress.observe({ stage: "queue", is_retried: true }, now);
          break;
        case "connection":
          running.progress.isLost = event.is_lost;
          break;
        case "finish":
          ending = { ...ending, state: "done", finish_reason: event.finish_reason, marks: await this.#posting.marks(job, event.grounding) };
          break;
        case "usage":
          ending = { ...ending, measured: { ...ending.measured, ...event, seconds: running.progress.elapsed(now) } };
          break;
        case "error": // a cancelled one was stopped, here or elsewhere
          if (event.error.code !== "cancelled") ending = { ...ending, state: "failed", error: event.error };
          if (job.job && needsLogin(event.error.code)) this.#barred.add(job.key); // the answer itself goes on
          else await this.#store.nameJob(job.key, (job.job = null)); // asked again, it gets another one
      }
      if (running.isStopped) running.stop();
      this.#tell(job.message);
    };
    await follow({ job: job.job, received: running.received }, {
      post: (received, signal) => this.#posting.post(job, received, signal),
      get: (path, headers, signal) => send(path, { headers, signal }),
      signal: running.aborter.signal,
      onEvent,
    });
    const { tries = 0 } = (await this.#store.message(job.message)) ?? {};
    if (running.isStopped || running.isLeft) return; // also a moment ago
    const pauseS = ending.error ? pauseAfter(ending.error, tries) : null;
    running.again = pauseS === null ? 0 : Date.now() + pauseS * 1000;
    await this.#write(job, { ...running.shown, received: running.received, ...ending, again: running.again || undefined });
  }

  /** What is there of an answer, unless it was stopped in another tab. @param {Job} job @param {Partial<Message>} change */
  #write(job, change) {
    return this.#store.changeMessage(job.message, ({ state }) => (state === "stopped" ? null : change));
  }

  /** @param {string} message */
  #tell(message) {
    for (const listener of this.#listeners) listener(message);
  }
}
