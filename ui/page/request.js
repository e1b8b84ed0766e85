/** The body of a question for the API, from the messages of a branch. */

/** @import { Message, PictureRef } from "./records.js" */

import { groups } from "./clips.js";
import { dataUrl } from "./data_url.js";

/** @typedef {"low" | "auto" | "high"} Detail of pictures */

/**
 * Settings of one question; they are kept with its job, so that it can be asked again in
 * the same words.
 * @typedef {object} Options
 * @property {string} [model]
 * @property {Detail} [detail]
 * @property {number} [max_tokens]
 * @property {object} [response_format]
 * @property {number} [temperature]
 * @property {number} [top_p]
 * @property {number} [top_k]
 * @property {number} [presence_penalty]
 * @property {number} [seed]
 * @property {string} [system]
 * @property {string[]} [without] digests of pictures to leave out
 * @property {boolean} [per_page] each picture of the question gets an answer of its own
 */

const LONGEST_NAME = 200; // characters

/** A picture that the browser no longer has. */
export class PictureGone extends Error {
  /** @param {PictureRef} picture */
  constructor(picture) {
    super(picture.name);
    this.picture = picture;
  }
}

/**
 * The messages that the model sees: answered questions and the last one. What the page
 * said itself, and questions without an answer, are not among them.
 * @param {Message[]} path from the first message to a question
 * @returns {Message[]}
 */
export function answeredTurns(path) {
  const question = path.at(-1);
  /** @type {Message[]} */
  const turns = [];
  for (let n = 0; n + 1 < path.length; n += 2) {
    const [asked, answered] = path.slice(n, n + 2);
    if (asked && answered?.text && answered.state !== "failed") turns.push(asked, answered);
  }
  return question ? [...turns, question] : turns;
}

/**
 * The pictures that are sent: of all turns, the newest `most`; a video counts as one. Each
 * of those that get answers of their own, only the last question's.
 * @param {Message[]} turns
 * @param {number} most
 * @param {Options} options
 * @returns {PictureRef[]}
 */
export function sentPictures(turns, most, { without = [], per_page }) {
  const all = (per_page ? turns.slice(-1) : turns).flatMap(({ pictures }) => pictures);
  const left = all.filter(({ sha256 }) => !without.includes(sha256));
  return per_page ? left : groups(left).slice(-most).flat();
}

/**
 * The JSON of the request. The same arguments make the same bytes, as the
 * Idempotency-Key demands.
 * @param {Message[]} path from the first message to the question
 * @param {Options} options
 * @param {object} needs
 * @param {number} needs.mostPictures
 * @param {string} needs.defaultQuestion for pictures without words
 * @param {(digest: string) => Promise<Blob | null>} needs.read
 * @returns {Promise<string>} rejects with PictureGone
 */
export async function requestBody(path, options, { mostPictures, defaultQuestion, read }) {
  const { detail = "auto", system, without: _, ...sampling } = options;
  const turns = answeredTurns(path);
  const sent = new Set(sentPictures(turns, mostPictures, options));
  const messages = [];
  if (system) messages.push({ role: "system", content: system });
  for (const { role, text, pictures } of turns) {
    const urls = [];
    for (const group of groups(pictures.filter((picture) => sent.has(picture)))) {
      const [picture] = group;
      if (!picture) continue;
      const [url, ...others] = await Promise.all(group.map((one) => urlOf(one, read)));
      if (picture.clip) {
        const video = [url, ...others].map((image, n) => ({ image, seconds: group[n]?.seconds }));
        urls.push({ type: "video", video, detail });
        continue;
      }
      // the name becomes the heading of its answer
      if (options.per_page) urls.push({ type: "file", file: { file_data: url, filename: picture.name.slice(0, LONGEST_NAME), detail } });
      else urls.push({ type: "image_url", image_url: { url, detail } });
    }
    const words = text || defaultQuestion;
    messages.push({ role, content: urls.length ? [...urls, { type: "text", text: words }] : words });
  }
  return JSON.stringify({
    messages,
    stream: true,
    stream_options: { include_usage: true },
    truncate: "auto",
    ...sampling,
  });
}

/**
 * @param {PictureRef} picture
 * @param {(digest: string) => Promise<Blob | null>} read
 */
async function urlOf(picture, read) {
  const blob = await read(picture.sha256);
  if (!blob) throw new PictureGone(picture);
  // the server looks at the bytes; a browser may not know the type of a file
  return dataUrl(blob, blob.type.startsWith("image/") ? blob.type : "image/jpeg");
}
