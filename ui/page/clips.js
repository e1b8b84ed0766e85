/** Pictures in a row, of which the frames of one video belong together. Pure. */

/** @import { PictureRef } from "./records.js" */

/**
 * The pictures as the server counts them: each alone, and the frames of a video together.
 * @param {PictureRef[]} pictures
 * @returns {PictureRef[][]}
 */
export function groups(pictures) {
  /** @type {PictureRef[][]} */
  const found = [];
  for (const picture of pictures) {
    const last = found.at(-1);
    if (picture.clip && last?.[0]?.clip === picture.clip) last.push(picture);
    else found.push([picture]);
  }
  return found;
}

/**
 * The pictures without one of them, and without the other frames of its video.
 * @param {PictureRef[]} pictures
 * @param {number} index
 */
export function without(pictures, index) {
  const clip = pictures[index]?.clip;
  return pictures.filter((one, n) => (clip ? one.clip !== clip : n !== index));
}

/** The index of the last picture, or of the first frame if it is of a video. @param {PictureRef[]} pictures */
export function lastStart(pictures) {
  return pictures.length - (groups(pictures).at(-1)?.length ?? 1);
}

/** A time in a video, as 1:05.2 or 0:03.0. @param {number} seconds */
export function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const rest = ((tenths % 600) / 10).toFixed(1).padStart(4, "0");
  return `${Math.floor(tenths / 600)}:${rest}`;
}
