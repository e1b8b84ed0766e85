/**
 * Choosing a part of a picture: a rectangle that is drawn, moved and resized by pointer
 * or by keys. All in fractions of the picture.
 */

import { el } from "./dom.js";
import { place } from "./overlay.js";

/** @typedef {import("./raster.js").Rect} Rect here in fractions */

const LEAST = 0.02;
const KEY_STEP = 0.02;
const CORNERS = ["nw", "ne", "sw", "se"];

export class Crop {
  /** @type {Rect} */
  rect = { x: 0.25, y: 0.25, width: 0.5, height: 0.5 };
  root;
  frame;

  /** @param {string} label names the rectangle to screen readers and says the keys */
  constructor(label) {
    this.frame = el(
      "div",
      {
        class: "crop-frame",
        role: "group",
        tabindex: "0",
        "aria-label": label,
        onkeydown: (/** @type {KeyboardEvent} */ event) => this.#key(event),
      },
      ...CORNERS.map((corner) => el("i", { class: `crop-corner is-${corner}`, "data-corner": corner })),
    );
    this.root = el(
      "div",
      { class: "stage-crop", onpointerdown: (/** @type {PointerEvent} */ event) => this.#press(event) },
      this.frame,
    );
  }

  /** @param {Rect} rect to begin with; its middle half is chosen */
  open({ x, y, width, height }) {
    this.#set({ x: x + width / 4, y: y + height / 4, width: width / 2, height: height / 2 });
    this.frame.focus({ preventScroll: true });
  }

  /** @param {Rect} rect */
  #set({ x, y, width, height }) {
    const size = { width: clamp(width, LEAST, 1), height: clamp(height, LEAST, 1) };
    this.rect = { x: clamp(x, 0, 1 - size.width), y: clamp(y, 0, 1 - size.height), ...size };
    place(this.frame, this.rect);
  }

  /** @param {PointerEvent} event */
  #press(event) {
    if (event.button !== 0) return;
    event.preventDefault(); // the picture below does not move
    event.stopPropagation();
    this.frame.focus({ preventScroll: true });
    const box = this.root.getBoundingClientRect();
    const at = (/** @type {PointerEvent} */ { clientX, clientY }) => ({
      x: clamp((clientX - box.left) / box.width, 0, 1),
      y: clamp((clientY - box.top) / box.height, 0, 1),
    });
    const start = at(event);
    const before = this.rect;
    const target = /** @type {HTMLElement} */ (event.target);
    const anchor = target === this.frame ? null : fixedCorner(before, target.dataset.corner, start);
    const move = (/** @type {PointerEvent} */ moved) => {
      const now = at(moved);
      if (anchor) this.#set(between(anchor, now));
      else this.#set({ ...before, x: before.x + now.x - start.x, y: before.y + now.y - start.y });
    };
    const done = new AbortController();
    const listening = { signal: done.signal };
    this.root.setPointerCapture(event.pointerId);
    this.root.addEventListener("pointermove", move, listening);
    this.root.addEventListener("pointerup", () => done.abort(), listening);
    this.root.addEventListener("pointercancel", () => done.abort(), listening);
  }

  /** Arrows move, with Shift they resize. @param {KeyboardEvent} event */
  #key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const step = steps[/** @type {keyof typeof steps} */ (event.key)];
    if (!step) return;
    event.preventDefault();
    const { x, y, width, height } = this.rect;
    const [dx, dy] = step.map((one) => one * KEY_STEP);
    if (event.shiftKey) this.#set({ x, y, width: width + dx, height: height + dy });
    else this.#set({ x: x + dx, y: y + dy, width, height });
  }
}

/**
 * The corner that stays while another one is drawn; a new rectangle begins at `start`.
 *
 * @param {Rect} rect
 * @param {string | undefined} corner that is drawn
 * @param {{x: number, y: number}} start
 */
function fixedCorner(rect, corner, start) {
  if (!corner) return start;
  return {
    x: corner.includes("w") ? rect.x + rect.width : rect.x,
    y: corner.includes("n") ? rect.y + rect.height : rect.y,
  };
}

/** @param {{x: number, y: number}} a @param {{x: number, y: number}} b @returns {Rect} */
function between(a, b) {
  const [x, y] = [Math.min(a.x, b.x), Math.min(a.y, b.y)];
  return { x, y, width: Math.abs(a.x - b.x), height: Math.abs(a.y - b.y) };
}

/** @param {number} x @param {number} least @param {number} most */
function clamp(x, least, most) {
  return Math.max(least, Math.min(most, x));
}
