/** Boxes and points that an answer names, as the server found them, on their pictures. Pure. */

/** @import { Mark } from "./overlay.js" */
/** @import { PictureRef } from "./records.js" */

const SCALE = 1000;
export const N_HUES = 6;

/**
 * `grounding` of the API: thousandths of the upright picture number `picture`.
 * @typedef {object} Located
 * @property {number} picture
 * @property {string} label
 * @property {number[]} [bbox_2d] left, top, right, bottom
 * @property {number[]} [point_2d]
 */

/**
 * @param {Located[]} grounding
 * @param {PictureRef[]} sent the pictures of the question, in their order
 * @returns {Mark[]} one hue for each label
 */
export function marksOf(grounding, sent) {
  const labels = [...new Set(grounding.map(({ label }) => label))];
  return grounding.flatMap(({ picture, label, bbox_2d, point_2d }, n) => {
    const sha256 = sent[picture]?.sha256;
    const [x = 0, y = 0, right = 0, bottom = 0] = (bbox_2d ?? point_2d ?? []).map((one) => one / SCALE);
    if (!sha256) return [];
    const mark = { id: String(n), sha256, label, hue: labels.indexOf(label) % N_HUES, x, y };
    return [bbox_2d ? { ...mark, width: right - x, height: bottom - y } : mark];
  });
}
