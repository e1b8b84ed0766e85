/**
 * One answer, to its end: through lost connections, a restarted server and a closed lid.
 * The Idempotency-Key makes a second POST safe, and `Last-Event-ID` resumes the text.
 */

/** @import { Located } from "./marks.js" */
/** @import { ServerEvent } from "./sse.js" */

import { readEvents } from "./sse.js";

/**
 * @typedef {{code: string, message: string, param?: string | null, retry_after_s?: number}}
 *   Refusal
 */

/**
 * What happens to an answer. `at` is the `Last-Event-ID` that belongs to all text so far.
 * `restart`: the server has forgotten the answer and begins again, without text.
 *
 * @typedef {{type: "job", job_id: string | null, cached: boolean}
 *   | {type: "progress", [field: string]: any}
 *   | {type: "text" | "thoughts", text: string, at: string}
 *   | {type: "finish", finish_reason: string, grounding: Located[]}
 *   | {type: "usage", usage: object, timings: object, dropped_messages: number,
 *      first_only_pictures: number}
 *   | {type: "restart"}
 *   | {type: "connection", is_lost: boolean, retry_in_s?: number}
 *   | {type: "error", error: Refusal}} AnswerEvent
 */

/**
 * How to ask and to go on. `post` sends the question with its key and `Last-Event-ID`,
 * always the same bytes; `get` reads a path of the API.
 *
 * @typedef {object} Ways
 * @property {(lastEventId: string, signal: AbortSignal) => Promise<Response>} post
 * @property {(path: string, headers: Record<string, string>, signal: AbortSignal)
 *   => Promise<Response>} get
 * @property {AbortSignal} signal ends it, without an event
 * @property {(event: AnswerEvent) => void | Promise<void>} onEvent what it throws is
 *   reported and ends nothing
 */

/** A stream that ended with one of these can go on: its job lives. */
const PASSING = ["shutting_down", "service_unavailable"];
/** Without news in between, a passing error is believed after this number. */
const MOST_PASSING = 5;
const FIRST_PAUSE_S = 1;
const MOST_PAUSE_S = 20;
/** The server is never silent for this time: the connection is dead. */
const SILENCE_MS = 30_000;

/**
 * Asks, or goes on where the text ended. Resolves after a finish, an error or an abort.
 *
 * @param {{job: string | null, received: string}} from name of the job, `Last-Event-ID`
 * @param {Ways} ways
 */
export async function follow(from, ways) {
  const answer = new Following(from, ways);
  let pauseS = FIRST_PAUSE_S;
  while (!ways.signal.aborted) {
    const outcome = await answer.attempt();
    if (outcome === "ended" || ways.signal.aborted) return;
    if (outcome === "again") continue;
    pauseS = answer.hadNews ? FIRST_PAUSE_S : Math.min(2 * pauseS, MOST_PAUSE_S);
    await answer.tell({ type: "connection", is_lost: true, retry_in_s: pauseS });
    await untilOnline(pauseS * 1000, ways.signal);
  }
}

class Following {
  /** Whether the last attempt brought anything. */
  hadNews = false;
  #isLost = false;
  #nPassing = 0;

  /** @param {{job: string | null, received: string}} from @param {Ways} ways */
  constructor({ job, received }, ways) {
    this.job = job;
    this.received = received;
    this.ways = ways;
  }

  /** @param {AnswerEvent} event */
  async tell(event) {
    if (this.ways.signal.aborted) return; // events of a piece that came before
    try {
      await this.ways.onEvent(event);
    } catch (error) {
      reportError(error);
    }
  }

  /** @returns {Promise<"ended" | "lost" | "again">} */
  async attempt() {
    this.hadNews = false;
    const attempt = new AbortController();
    const signal = AbortSignal.any([this.ways.signal, attempt.signal]);
    try {
      const response = await this.#connect(signal);
      if (!response.ok || !response.body) return await this.#refused(response);
      await this.#accepted(response);
      return await this.#read(response.body, attempt);
    } catch {
      return "lost"; // or aborted, which the loop sees
    }
  }

  /** @param {AbortSignal} signal */
  #connect(signal) {
    if (!this.job) return this.ways.post(this.received, signal);
    const path = `v1/jobs/${this.job}/events?include_usage=true`;
    return this.ways.get(path, { "last-event-id": this.received }, signal);
  }

  /** @param {Response} response */
  async #accepted(response) {
    if (this.#isLost) await this.tell({ type: "connection", is_lost: false });
    this.#isLost = false;
    if (this.job) return;
    const cached = response.headers.get("x-cache") === "hit";
    this.job = response.headers.get("x-job-id");
    await this.tell({ type: "job", job_id: this.job, cached });
  }

  /**
   * @param {ReadableStream<Uint8Array>} body
   * @param {AbortController} attempt
   * @returns {Promise<"ended" | "lost" | "again">}
   */
  async #read(body, attempt) {
    let dies = 0;
    const live = () => {
      clearTimeout(dies);
      dies = window.setTimeout(() => attempt.abort(), SILENCE_MS);
    };
    live();
    try {
      for await (const event of readEvents(body)) {
        live();
        const outcome = await this.#event(event);
        if (outcome) return outcome;
      }
    } finally {
      clearTimeout(dies);
    }
    return this.#lost(); // a stream ends with [DONE]
  }

  /** @param {ServerEvent} event @returns {Promise<"ended" | "lost" | undefined>} */
  async #event({ id, data, comment }) {
    if (comment !== null) {
      const [, json] = /^progress (\{.*\})$/.exec(comment) ?? [];
      if (json) await this.tell({ ...JSON.parse(json), type: "progress" });
      return;
    }
    if (data === "[DONE]") return "ended";
    const chunk = JSON.parse(/** @type {string} */ (data));
    if (chunk.error) return this.#failed(chunk.error);
    this.hadNews = true;
    this.#nPassing = 0;
    const [choice] = chunk.choices;
    const { content, reasoning_content: thoughts } = choice?.delta ?? {};
    if (content || thoughts) {
      this.received = id;
      await this.tell({ type: content ? "text" : "thoughts", text: content || thoughts, at: id });
    }
    if (choice?.finish_reason) {
      const { finish_reason, grounding = [] } = choice;
      await this.tell({ type: "finish", finish_reason, grounding });
    }
    if (chunk.usage) {
      const { usage, timings, dropped_messages, first_only_pictures } = chunk;
      await this.tell({ type: "usage", usage, timings, dropped_messages, first_only_pictures });
    }
  }

  /** @param {Response} response @returns {Promise<"ended" | "lost" | "again">} */
  async #refused(response) {
    const body = await response.json().catch(() => null);
    if (response.status === 404 && this.job) {
      this.job = null;
      this.received = "0";
      await this.tell({ type: "restart" });
      return "again";
    }
    const isGateway = response.status === 502 || response.status === 504;
    const isTooOften = response.status === 429 && this.job; // the answer itself goes on
    if (isGateway || isTooOften || !body?.error) return this.#lost();
    const header = Number(response.headers.get("retry-after"));
    return this.#failed({ ...(header ? { retry_after_s: header } : {}), ...body.error });
  }

  /** @param {Refusal} error @returns {Promise<"ended" | "lost">} */
  async #failed(error) {
    if (error.code === "client_limit" && this.job) return this.#lost(); // the answer itself goes on
    if (PASSING.includes(error.code) && ++this.#nPassing < MOST_PASSING) return this.#lost();
    await this.tell({ type: "error", error });
    return "ended";
  }

  /** @returns {"lost"} */
  #lost() {
    this.#isLost = true;
    return "lost";
  }
}

/**
 * Waits; less long if the network or the person comes back.
 *
 * @param {number} ms
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function untilOnline(ms, signal) {
  return new Promise((resolve) => {
    const done = new AbortController();
    const go = () => {
      clearTimeout(timer);
      done.abort();
      resolve();
    };
    const timer = setTimeout(go, ms);
    const listening = { signal: done.signal };
    signal.addEventListener("abort", go, listening);
    window.addEventListener("online", go, listening);
    document.addEventListener("visibilitychange", go, listening);
  });
}
