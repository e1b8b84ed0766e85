/**
 * Frames of a video as pictures. The browser decodes the file: the server needs no decoder
 * of videos for it, and the person sees what the model sees.
 */

/** @import { PictureStore } from "./picture_store.js" */
/** @import { PictureRef } from "./records.js" */

import { grid, sentSize } from "./grid.js";
import { newId } from "./ids.js";
import { keep, PictureError } from "./pictures.js";
import { render } from "./raster.js";

/** As many as Qwen3-VL was trained with, for each second; an even number of frames. */
const PER_SECOND = 2;
const FEWEST = 4;
/** Decoding of one frame takes longer only if the browser cannot read the file. */
const PATIENCE_MS = 10_000;
/** Seconds before the end: there is no frame at the end itself. */
const BEFORE_END_S = 0.05;

/**
 * What the server reads of a video; see `limits` of /v1/models/{id}.
 * @typedef {{seconds: number, frames: number, image_tokens: Record<string, number>}} VideoLimits
 */

/** @param {File} file */
export function isVideo(file) {
  return file.type.startsWith("video/") || /\.(mp4|mov|m4v|webm|mkv)$/i.test(file.name);
}

/**
 * The seconds of the frames of a video of this length.
 * @param {number} seconds
 * @param {number} most
 * @returns {number[]}
 */
export function sampleTimes(seconds, most) {
  const n = Math.min(most, Math.max(FEWEST, Math.floor(seconds * PER_SECOND)));
  const even = n - (n % 2);
  const last = Math.max(0, seconds - BEFORE_END_S);
  return Array.from({ length: even }, (_, i) => (last * i) / (even - 1));
}

/**
 * Its frames, each as soon as it is decoded, as large as the model sees it at most.
 *
 * @param {File} file
 * @param {VideoLimits} limits
 * @returns {AsyncGenerator<{picture: File, seconds: number, width: number, height: number}, void>}
 *   throws PictureError
 */
export async function* framesOf(file, limits) {
  const refuse = (/** @type {string} */ code, values = {}) => new PictureError(code, { name: file.name, ...values });
  const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true, preload: "auto" });
  const url = URL.createObjectURL(file);
  try {
    video.src = url;
    await reached(video, "loadeddata", refuse);
    if (!Number.isFinite(video.duration)) await seek(video, Number.MAX_SAFE_INTEGER, refuse); // a recording: its length stands nowhere
    const { duration, videoWidth: width, videoHeight: height } = video;
    if (!width || !Number.isFinite(duration)) throw refuse("video_unreadable");
    if (duration > limits.seconds) throw refuse("video_too_long", { s: Math.round(duration), most: limits.seconds });
    const times = sampleTimes(duration, limits.frames);
    const tokens = Math.max(...Object.values(limits.image_tokens)) / (times.length / 2);
    const size = sentSize(width, height, 1, Math.floor(tokens)) ?? { width, height };
    for (const seconds of times) {
      await seek(video, seconds, refuse);
      const bitmap = await createImageBitmap(video);
      const blob = await render(bitmap, { x: 0, y: 0, width, height }, size, true);
      bitmap.close();
      yield { picture: new File([blob], file.name, { type: blob.type }), seconds: Math.round(seconds * 100) / 100, ...size };
    }
  } finally {
    video.removeAttribute("src");
    video.load();
    URL.revokeObjectURL(url);
  }
}

/**
 * Puts the frames of a video into the store.
 *
 * @param {File} file
 * @param {VideoLimits} limits
 * @param {PictureStore} pictures
 * @returns {Promise<PictureRef[]>} rejects with PictureError
 */
export async function clipOf(file, limits, pictures) {
  const clip = newId();
  const refs = [];
  for await (const { picture, seconds, width, height } of framesOf(file, limits)) {
    const tokens = grid(width, height, 1, Infinity);
    const about = { name: file.name, width, height, clip, seconds, ...tokens };
    refs.push(await keep({ sent: picture, original: null, ...about }, pictures));
  }
  return refs;
}

/** @param {HTMLVideoElement} video @param {number} seconds @param {(code: string) => PictureError} refuse */
async function seek(video, seconds, refuse) {
  const seeked = reached(video, "seeked", refuse);
  video.currentTime = seconds;
  await seeked;
}

/** @param {HTMLVideoElement} video @param {string} event @param {(code: string) => PictureError} refuse */
async function reached(video, event, refuse) {
  const ending = new AbortController();
  const { signal } = ending;
  try {
    await new Promise((resolve, reject) => {
      const fail = () => reject(refuse("video_unreadable"));
      video.addEventListener(event, resolve, { signal });
      video.addEventListener("error", fail, { signal });
      const timer = setTimeout(fail, PATIENCE_MS);
      signal.addEventListener("abort", () => clearTimeout(timer));
    });
  } finally {
    ending.abort();
  }
}
