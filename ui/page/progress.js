/**
 * How far an answer is: four stages with measured and estimated seconds, and one bar
 * that never runs back. Pure: the time is an argument, in milliseconds.
 */

export const STAGES = /** @type {const} */ (["queue", "encode", "prefill", "decode"]);

/** @typedef {typeof STAGES[number]} Stage */
/** @typedef {Record<Stage, number>} Seconds */
/**
 * @typedef {object} Step
 * @property {Stage} stage
 * @property {"done" | "now" | "later"} state
 * @property {number} seconds measured so far
 * @property {number} estimate in seconds
 */

/** Beyond its estimate a stage is always this near its end, and nearer. */
const LAST_PART = 0.15;

export class Progress {
  /** @type {Stage} */
  stage = "queue";
  /** @type {number | null} */
  position = null;
  /** Whether the model is on its way into memory. */
  isLoading = false;
  /** The part of the pictures that the vision encoder has read, 0 to 1. */
  seen = 0;
  isRetried = false;
  isLost = false;
  #began;
  #stageBegan;
  /** @type {Partial<Seconds>} */
  #measured = {};
  #estimates;
  #starts = 0;
  #best = 0;

  /**
   * @param {number} now
   * @param {Seconds} estimates
   */
  constructor(now, estimates) {
    this.#began = now;
    this.#stageBegan = now;
    this.#estimates = { ...estimates };
    this.#starts = now + estimates.queue * 1000;
  }

  /**
   * Takes a progress event of the stream.
   * @param {Record<string, any>} event
   * @param {number} now
   */
  observe(event, now) {
    this.isLost = false;
    if (event.is_retried) this.isRetried = true;
    if (event.stage === "queue") {
      this.#enter("queue", now);
      this.position = event.position ?? null;
      this.isLoading = typeof event.loading_s === "number";
      if (typeof event.starts_in_s === "number") this.#starts = now + event.starts_in_s * 1000;
    } else if (STAGES.includes(event.stage)) {
      this.#enter(event.stage, now);
      if (event.of) this.seen = ((event.picture ?? 0) + event.done / event.of) / (event.n_pictures ?? 1);
    }
  }

  /**
   * Takes text of the answer, or of the thoughts before it.
   * @param {"text" | "thoughts"} kind
   * @param {number} now
   */
  observeText(kind, now) {
    this.isLost = false;
    this.#enter(kind === "text" ? "decode" : "prefill", now);
  }

  /** @param {Stage} stage @param {number} now */
  #enter(stage, now) {
    if (stage === this.stage) return;
    this.#measured[this.stage] = (now - this.#stageBegan) / 1000;
    this.stage = stage;
    this.#stageBegan = now;
    if (stage !== "encode") this.seen = STAGES.indexOf(stage) > 1 ? 1 : 0;
  }

  /** Seconds since the question. @param {number} now */
  elapsed(now) {
    return (now - this.#began) / 1000;
  }

  /** Seconds until the end of the present stage. @param {number} now */
  #stageLeft(now) {
    const spent = (now - this.#stageBegan) / 1000;
    if (this.stage === "queue") return Math.max((this.#starts - now) / 1000, LAST_PART);
    if (this.stage === "encode" && this.seen > 0.1) return (spent * (1 - this.seen)) / this.seen;
    const estimate = this.#estimates[this.stage];
    const left = estimate - spent;
    const least = estimate * LAST_PART;
    return left > least ? left : least * Math.exp((left - least) / Math.max(estimate, 1));
  }

  /** Estimated seconds until the answer is complete. @param {number} now */
  left(now) {
    const later = STAGES.slice(STAGES.indexOf(this.stage) + 1);
    return later.reduce((sum, stage) => sum + this.#estimates[stage], this.#stageLeft(now));
  }

  /** The part that is done, 0 to 1; it never falls. @param {number} now */
  fraction(now) {
    const elapsed = this.elapsed(now);
    const fraction = elapsed / (elapsed + this.left(now) + 0.1);
    this.#best = Math.max(this.#best, Math.min(fraction, 0.99));
    return this.#best;
  }

  /** @param {number} now @returns {Step[]} */
  steps(now) {
    const at = STAGES.indexOf(this.stage);
    return STAGES.map((stage, n) => ({
      stage,
      state: n < at ? "done" : n === at ? "now" : "later",
      seconds: n < at ? (this.#measured[stage] ?? 0) : n === at ? (now - this.#stageBegan) / 1000 : 0,
      estimate: n === at ? (now - this.#stageBegan) / 1000 + this.#stageLeft(now) : this.#estimates[stage],
    }));
  }
}
