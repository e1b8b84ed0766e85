/** A job's question: sent to the server, and its pictures with the marks of the answer. */

/** @import { Located } from "./marks.js" */
/** @import { Job } from "./records.js" */
/** @import { Service } from "./service.js" */
/** @import { Store } from "./store.js" */
import { send } from "./api.js";
import { marksOf } from "./marks.js";
import { answeredTurns, PictureGone, requestBody, sentPictures } from "./request.js";
import { branch } from "./tree.js";
import { say } from "./words.js";

export class Posting {
  #store;
  #service;

  /** @param {Store} store @param {Service} service */
  constructor(store, service) {
    this.#store = store;
    this.#service = service;
  }

  /** @param {Job} job @param {string} received @param {AbortSignal} signal */
  async post(job, received, signal) {
    const { path, settings } = await this.#question(job);
    let body;
    try {
      body = await requestBody(path, settings, {
        mostPictures: this.#service.limits.pictures,
        defaultQuestion: say("default_question"),
        read: (digest) => this.#store.pictures.read(digest),
      });
    } catch (error) {
      if (!(error instanceof PictureGone)) throw error;
      return Response.json({ error: { code: "picture_gone", message: error.message } }, { status: 410 });
    }
    const headers = { "content-type": "application/json", "idempotency-key": job.key, "last-event-id": received };
    return send("v1/chat/completions", { method: "POST", headers, body, signal });
  }

  /** @param {Job} job @param {Located[]} grounding */
  async marks(job, grounding) {
    if (!grounding.length) return [];
    const { path, settings } = await this.#question(job);
    const sent = sentPictures(answeredTurns(path), this.#service.limits.pictures, settings);
    return marksOf(grounding, sent.filter(({ clip }) => !clip)); // frames are not counted
  }

  /** The messages that are answered, and how. @param {Job} job */
  async #question(job) {
    const messages = (await this.#store.read(job.conversation))?.messages ?? [];
    const answer = messages.find(({ id }) => id === job.message);
    return { path: branch(messages, answer?.parent ?? null), settings: answer?.settings ?? {} };
  }
}
