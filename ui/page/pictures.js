/**
 * From a chosen file to what is sent: found wrong when it is chosen, set upright, and
 * made as large as the model will see it.
 */

/** @import { PictureRef } from "./records.js" */
/** @import { PictureStore } from "./picture_store.js" */
/** @import { Claim } from "./picture_file.js" */
/** @import { Rect } from "./raster.js" */

import { grid, sentSize } from "./grid.js";
import { claimOf } from "./picture_file.js";
import { decode, render } from "./raster.js";

/**
 * What the server accepts; see `limits` of /v1/models/{id}.
 *
 * @typedef {object} PictureLimits
 * @property {number} minTokens of one picture
 * @property {number} autoTokens the most of one that is read in the usual detail
 * @property {number} maxTokens the most of one
 * @property {number} bodyBytes of one question, with all its pictures in Base64
 * @property {number} sourcePixels of one file, unless it is a JPEG
 * @property {string[]} formats as "jpeg", in small letters
 */

/**
 * @typedef {object} Choice
 * @property {boolean} [isOriginal] sends the file as it is, if the server can read it
 * @property {Rect} [part] of the upright picture
 */

/**
 * A picture that may be sent: `sent` goes to the server, `original` is the chosen file,
 * null if it is the same one. `tokens` are what the picture costs.
 *
 * @typedef {object} Prepared
 * @property {Blob} sent
 * @property {Blob | null} original
 * @property {string} name
 * @property {number} width
 * @property {number} height
 * @property {number} rows
 * @property {number} columns
 * @property {boolean} [isFirst] of several frames, of which no other is kept
 * @property {string} [clip] see PictureRef
 * @property {number} [seconds]
 */

/** Why a file cannot be sent. `say("picture." + code, values)` tells a person. */
export class PictureError extends Error {
  /** @param {string} code @param {Record<string, string | number>} values */
  constructor(code, values) {
    super(code);
    this.code = code;
    this.values = values;
  }
}

const MOST_FILE_BYTES = 256 << 20; // read into memory once
const MOST_ASPECT_RATIO = 200;
const BASE64_GROWTH = 4 / 3;
const LOSSY = ["jpeg", "heif", "avif"];
/** Formats that some browsers cannot decode: such a file may be whole. */
const NOT_EVERYWHERE = ["heif", "avif", "tiff"];

/**
 * @param {Blob & {name?: string}} file
 * @param {PictureLimits} limits
 * @param {Choice} [choice]
 * @returns {Promise<Prepared>} Rejects with PictureError.
 */
export async function prepare(file, limits, { isOriginal = false, part } = {}) {
  const name = file.name ?? "";
  const refuse = (/** @type {string} */ code, values = {}) => new PictureError(code, { name, ...values });
  if (!file.size) throw refuse("empty");
  if (file.size > MOST_FILE_BYTES) throw refuse("too_large", { mb: MOST_FILE_BYTES >> 20 });
  const claim = claimOf(new Uint8Array(await file.arrayBuffer()));
  if (!claim) throw refuse("not_a_picture");
  if (!claim.isComplete) throw refuse("damaged");
  checkShape(claim, refuse);
  const isReadable = limits.formats.includes(claim.format);
  const fits = (/** @type {Blob} */ blob) => blob.size * BASE64_GROWTH < limits.bodyBytes;
  const n = claim.width * claim.height;
  // A tab may have no memory for it; the server makes a JPEG smaller while it decodes it.
  const isHuge = n > limits.sourcePixels;
  if (isHuge && (part || claim.format !== "jpeg" || !fits(file))) {
    throw refuse("too_many_pixels", { mp: Math.floor(limits.sourcePixels / 1e6) });
  }
  const bitmap = isHuge ? null : await decode(file);
  if (!bitmap) {
    if (isReadable && fits(file) && (isHuge || NOT_EVERYWHERE.includes(claim.format))) {
      return { sent: file, original: null, name, width: 0, height: 0, rows: 0, columns: 0 };
    }
    throw refuse(isReadable ? "damaged" : "unreadable", { format: claim.format.toUpperCase() });
  }
  try {
    checkShape(bitmap, refuse);
    const whole = { x: 0, y: 0, width: bitmap.width, height: bitmap.height };
    const source = part ?? whole;
    // The model sees the first of several frames, so the person does too.
    const isFirst = claim.hasFrames ?? false;
    const chosen = isFirst ? await render(bitmap, whole, whole, false) : file;
    const isSendable = (isReadable || isFirst) && fits(chosen);
    const about = { name, ...(isFirst && { isFirst }) };
    const { width, height } = source;
    const tokens = grid(width, height, limits.minTokens, limits.autoTokens);
    const size = sentSize(width, height, limits.minTokens, limits.maxTokens);
    if (!part && isSendable && (isOriginal || !size)) {
      return { sent: chosen, original: null, ...about, width, height, ...tokens };
    }
    const sentAs = size ?? { width, height };
    const sent = await render(bitmap, source, sentAs, LOSSY.includes(claim.format));
    return { sent, original: part ? null : chosen, ...about, ...sentAs, ...tokens };
  } finally {
    bitmap.close();
  }
}

/**
 * Puts a prepared picture into the store.
 *
 * @param {Prepared} prepared
 * @param {PictureStore} pictures
 * @returns {Promise<PictureRef>} Rejects with StorageFull if it cannot be kept at all.
 */
export async function keep({ sent, original, ...about }, pictures) {
  const sha256 = await pictures.keep(sent, false);
  const kept = original && (await pictures.keep(original, true).catch(() => null));
  return { sha256, original: kept, ...about };
}

/**
 * @param {{width: number, height: number}} size
 * @param {(code: string, values: Record<string, number>) => PictureError} refuse
 */
function checkShape({ width, height }, refuse) {
  if (Math.max(width, height) > MOST_ASPECT_RATIO * Math.min(width, height)) {
    throw refuse("too_long", { ratio: MOST_ASPECT_RATIO });
  }
}
