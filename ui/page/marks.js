/**
 * Boxes and points that an answer names, as Qwen3-VL writes them: JSON objects with
 * `bbox_2d` or `point_2d`, in thousandths of the picture, and a `label`. Source: the
 * model card of Qwen3-VL, "2D grounding". Pure.
 */

/** @import { Mark } from "./overlay.js" */

const OBJECT = /\{[^{}]*"(?:bbox_2d|point_2d)"\s*:\s*\[([\d\s.,]*)\][^{}]*\}/g;
const LABEL = /"label"\s*:\s*"((?:[^"\\]|\\.)*)"/;
const MOST = 100;
const SCALE = 1000;

/**
 * @param {string} text of an answer, perhaps cut
 * @returns {Mark[]} in fractions of the picture
 */
export function marksIn(text) {
  /** @type {Mark[]} */
  const marks = [];
  for (const [object, numbers] of text.matchAll(OBJECT)) {
    const [x, y, right, bottom] = numbers.split(",").map((one) => Number(one) / SCALE);
    const label = JSON.parse(`"${LABEL.exec(object)?.[1] ?? ""}"`);
    const mark = { id: String(marks.length), label, x, y };
    if (![x, y].every((one) => one >= 0 && one <= 1) || marks.length === MOST) continue;
    if (right === undefined) marks.push(mark);
    else if (right > x && bottom > y) marks.push({ ...mark, width: right - x, height: bottom - y });
  }
  return marks;
}
