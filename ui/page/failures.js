/** What the page says about an answer that failed, and what helps. */

/** @import { Message } from "./records.js" */
import { button, el, put } from "./dom.js";
import { about, hasText, say } from "./words.js";

/** @typedef {"again" | "wait" | "edit" | "new" | "login" | "without" | "choose"} Remedy */

/** @type {Map<string, Remedy>} */
const REMEDIES = new Map(Object.entries({
  queue_full: "wait",
  client_limit: "wait",
  rate_limit_exceeded: "wait",
  no_worker: "wait",
  service_unavailable: "wait",
  shutting_down: "wait",
  worker_lost: "wait", // a question that kills workers is soon refused by the server
  deadline_exceeded: "again",
  engine_error: "again",
  internal_error: "again",
  request_quarantined: "edit",
  invalid_image: "choose",
  context_length_exceeded: "new",
  request_too_large: "new",
  invalid_api_key: "login",
  forbidden: "login",
  picture_gone: "without",
}));
const WAIT_S = 10;
/** Then a person decides. */
const MOST_TRIES = 20;

/**
 * How many seconds after a failure it is asked again by itself; null: a person decides.
 * @param {{code: string, retry_after_s?: number}} error
 * @param {number} tries how often that was done already
 */
export function pauseAfter({ code, retry_after_s }, tries) {
  return REMEDIES.get(code) === "wait" && tries < MOST_TRIES ? (retry_after_s ?? WAIT_S) : null;
}

/** Whether only a login helps. @param {string} code */
export const needsLogin = (code) => REMEDIES.get(code) === "login";

/**
 * The sentence for an error, in the person's language; the server's own if there is none.
 * @param {{code: string, message: string}} error
 */
export function sentence({ code, message }) {
  const key = `error_${code}`;
  if (!hasText(key) && !message) return say("error_internal_error");
  return say(hasText(key) ? key : "error_invalid_request", { message });
}

/** The card of a failed answer. It counts down while the answer is awaited. */
export class FailureCard {
  node = el("section", { class: "failure" });
  #timer = 0;

  /**
   * @param {Message} answer
   * @param {(remedy: Remedy) => void} act
   * @param {() => void} stop
   */
  constructor({ error: given, again = 0 }, act, stop) {
    const error = given ?? { code: "internal_error", message: "" };
    const remedy = REMEDIES.get(error.code) ?? "edit";
    const counter = el("span", { class: "counter" });
    const label = remedy === "wait" ? "again_now" : `remedy_${remedy}`;
    put(
      this.node,
      // not around the counter, or all is read aloud each second
      el("p", {}, el("span", { role: "alert" }, sentence(error)), " ", counter),
      el(
        "div",
        { class: "actions" },
        button(say(label), () => act(remedy), { class: "quiet" }),
        remedy === "login" && button(say("remedy_again"), () => act("again"), { class: "quiet" }),
        again > 0 && button(say("stop"), stop, { class: "quiet" }),
      ),
    );
    if (!again) return;
    const count = () => put(counter, say("asks_again_in", { time: about(Math.max(1, Math.ceil((again - Date.now()) / 1000))) }));
    this.#timer = window.setInterval(count, 1000);
    count();
  }

  close() {
    clearInterval(this.#timer);
  }
}
