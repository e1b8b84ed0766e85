/**
 * What the page knows of the server: model, limits, load and pace, asked for while the
 * page is looked at.
 */

/** @import { ApiFailure } from "./api.js" */
/** @import { Seconds } from "./progress.js" */
/** @import { Task } from "./ready_task.js" */
/** @import { PictureRef } from "./records.js" */
/** @import { Detail, Options } from "./request.js" */
import { ApiError, callJson } from "./api.js";
import { groups } from "./clips.js";
import { keepOptions, options } from "./options.js";

const EVERY_MS = 5000;
const WHEN_QUIET_MS = 30_000;

/** Until the server has said its own. */
const LIMITS = {
  body_bytes: 32 << 20,
  pictures: 8,
  pages: 100,
  video: { seconds: 120, frames: 32, image_tokens: { low: 1024, auto: 2048, high: 4096 } },
  context_tokens: 4096,
  answer_tokens: 512,
  image_tokens: { min: 64, max: 2048, floor: 1024, details: { low: 256, auto: 1024, high: 2048 }, attention: 900 },
  token_px: 32,
  source_pixels: 1 << 26,
  formats: ["jpeg", "png", "webp", "gif", "bmp", "tiff"],
  text_characters: 200_000,
};
/** Codes of a server that did not answer. */
const AWAY = ["unreachable", "offline"];
/** A guess until the server has counted: letters of a text per token. */
const LETTERS_PER_TOKEN = 4;
const PACE = { image_s: 0.008, prompt_s: 0.004, answer_s: 0.12, other_s: 0.2, answer_tokens: 120 };

export class Service {
  /** @type {"unknown" | "ready" | ApiFailure} */
  state = "unknown";
  /** @type {string[]} */
  models = [];
  model = "";
  limits = LIMITS;
  /** @type {Record<string, number>} recommended for answers that differ */
  sampling = { temperature: 0.7, top_p: 0.8, top_k: 20 };
  /** @type {Task[]} */
  tasks = [];
  /** @type {Record<string, any>} */
  status = {};
  /** @type {Set<() => void>} */
  #listeners = new Set();

  /** Calls `listener` after each look at the server. @param {() => void} listener */
  watch(listener) {
    this.#listeners.add(listener);
  }

  /** Begins to look, and again and again: more often while the page is busy. */
  async start() {
    await this.look();
    const looking = async () => {
      if (!document.hidden) await this.look();
      setTimeout(looking, this.isCalm ? WHEN_QUIET_MS : EVERY_MS);
    };
    setTimeout(looking, EVERY_MS);
    document.addEventListener("visibilitychange", () => document.hidden || void this.look());
    for (const change of ["online", "offline"]) addEventListener(change, () => void this.look());
  }

  /** Whether nothing is likely to change soon. */
  get isCalm() {
    return this.state === "ready" && !(this.status.running || this.status.waiting);
  }

  /** One look at the server. @returns {Promise<boolean>} whether it answered */
  async look() {
    try {
      this.status = await callJson("v1/status");
      this.models = (this.status.models ?? []).map((/** @type {{id: string}} */ { id }) => id);
      const { model = "" } = options();
      if (model && this.models.length && !this.models.includes(model)) keepOptions({ model: undefined });
      const asked = this.models.includes(model) ? model : (this.models[0] ?? "");
      if (asked !== this.model) await this.#choose(asked);
      this.state = this.models.length ? "ready" : { code: "no_worker", message: "" };
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.state = error.failure;
    }
    for (const listener of this.#listeners) listener();
    return this.state === "ready" || !AWAY.includes(this.state.code);
  }

  /** @param {string} name */
  async #choose(name) {
    const about = name ? await callJson(`v1/models/${encodeURIComponent(name)}`) : null;
    this.model = name; // not before: the next look asks again
    if (!about) return;
    this.limits = { ...LIMITS, ...about.limits };
    this.sampling = about.sampling ?? this.sampling;
    this.tasks = about.tasks ?? [];
  }

  /** What the server says of the model that is asked. @returns {Record<string, any>} */
  get #served() {
    return this.status.models?.find((/** @type {{id: string}} */ { id }) => id === this.model) ?? {};
  }

  /** Measured seconds: of an image token, a prompt token, a token of the answer, the rest. */
  get pace() {
    return { ...PACE, ...this.#served.pace };
  }

  /**
   * Estimated seconds of each stage of a question asked now. A token of a large picture
   * takes longer to encode: see `edge/qwen3vl/encode_cost.py`.
   * @param {number[]} pictures the image tokens of each
   * @param {number} textTokens
   * @param {number} [maxTokens]
   * @returns {Seconds}
   */
  price(pictures, textTokens, maxTokens = this.limits.answer_tokens) {
    const pace = this.pace;
    const sum = (/** @type {number[]} */ numbers) => numbers.reduce((a, b) => a + b, 0);
    const { attention } = this.limits.image_tokens;
    const imageTokens = sum(pictures);
    return {
      queue: this.#served.starts_in_s ?? 0,
      encode: sum(pictures.map((n) => n * (1 + n / attention))) * pace.image_s,
      prefill: pace.other_s + (imageTokens + textTokens) * pace.prompt_s,
      decode: Math.min(maxTokens, pace.answer_tokens) * pace.answer_s,
    };
  }

  /**
   * Estimated seconds of each stage of a question about pictures, asked now.
   * @param {PictureRef[]} pictures
   * @param {number} letters of its text
   * @param {Options} settings
   */
  priceOf(pictures, letters, { detail, max_tokens }) {
    const tokens = groups(pictures).flatMap((group) => this.#tokensOf(group, detail));
    return this.price(tokens, letters / LETTERS_PER_TOKEN, max_tokens);
  }

  /** The image tokens of a picture, or of each pair of frames of a video. @param {PictureRef[]} group @param {Detail} [detail] @returns {number[]} */
  #tokensOf([first, ...others], detail = "auto") {
    if (!first) return [];
    if (!first.clip) return [this.imageTokens(first.width, first.height, detail)];
    const { token_px, video } = this.limits;
    const pairs = Math.ceil((1 + others.length) / 2);
    const tokens = Math.ceil(first.width / token_px) * Math.ceil(first.height / token_px);
    return Array(pairs).fill(Math.min(tokens, video.image_tokens[detail] / pairs));
  }

  /** The image tokens of a picture of this size. @param {number} width @param {number} height @param {Detail} [detail] */
  imageTokens(width, height, detail = "auto") {
    const { image_tokens, token_px } = this.limits;
    const least = detail === "high" ? image_tokens.floor : image_tokens.min;
    const tokens = Math.ceil(width / token_px) * Math.ceil(height / token_px);
    return Math.max(least, Math.min(tokens, image_tokens.details[detail]));
  }

  /** Whether a picture has more pixels than the model can see. @param {{width: number, height: number}} picture */
  isLarger({ width, height }) {
    const { image_tokens, token_px } = this.limits;
    return width * height > image_tokens.max * token_px ** 2;
  }
}

/** @param {Seconds} seconds */
export const total = (seconds) => seconds.queue + seconds.encode + seconds.prefill + seconds.decode;
