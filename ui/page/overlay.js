/** What lies on a picture: boxes and points of an answer, and cells that were read. */

/** @import { Rect } from "./raster.js" */

import { el, put } from "./dom.js";

/**
 * A box or, without a size, a point that an answer names, in fractions of the upright
 * picture with this digest. Equal labels have the same hue, 0 to 5.
 *
 * @typedef {{id: string, sha256: string, label: string, hue: number, x: number, y: number,
 *   width?: number, height?: number}} Mark
 */

/** Opacity of what is not read yet, and the cells that were read last. */
const UNREAD = "rgb(12 20 18 / 0.62)";
const FRESH = "rgb(45 212 191 / 0.35)";
const N_FRESH = 12;
/** Above this a name would leave the picture: it stands inside. */
const NEAR_TOP = 0.06;

/** Boxes are buttons that ask about their part; points only tell where something is. */
export class Marks {
  root = el("div", { class: "stage-marks" });
  /** @type {Map<string, HTMLElement>} */
  #shown = new Map();
  #sign = "[]";

  /**
   * @param {(id: string | null) => void} onPoint when one is pointed at, or no longer
   * @param {(box: Rect) => void} onChoose
   */
  constructor(onPoint, onChoose) {
    this.onPoint = onPoint;
    this.onChoose = onChoose;
  }

  /** One that has the focus keeps it where the marks are the same. @param {Mark[]} marks */
  show(marks) {
    const sign = JSON.stringify(marks);
    if (sign === this.#sign) return;
    this.#sign = sign;
    this.#shown = new Map(marks.map((mark) => [mark.id, this.#mark(mark)]));
    put(this.root, ...this.#shown.values());
  }

  /** @param {Mark} mark */
  #mark({ id, label, hue, x, y, width, height }) {
    const point = (/** @type {string | null} */ at) => () => this.onPoint(at);
    const ways = {
      onpointerenter: point(id),
      onpointerleave: point(null),
      onfocus: point(id),
      onblur: point(null),
    };
    const name = label && el("span", {}, label);
    const colour = `mark is-hue-${hue}${y < NEAR_TOP ? " is-high" : ""}`;
    if (!width || !height) {
      const spot = el("div", { class: `${colour} is-point`, tabindex: "0", role: "img", "aria-label": label, ...ways }, name);
      place(spot, { x, y });
      return spot;
    }
    const box = { x, y, width, height };
    const onclick = () => this.onChoose(box);
    const button = el("button", { type: "button", class: colour, "aria-label": label || null, onclick, ...ways }, name);
    place(button, box);
    return button;
  }

  /** @param {string | null} id the one that is pointed at, here or in the answer */
  light(id) {
    for (const [name, one] of this.#shown) one.classList.toggle("is-lit", name === id);
  }
}

/** One pixel for each image token, dark until it is read. */
export class Cells {
  root = el("canvas", { class: "stage-cells", "aria-hidden": "true" });

  /**
   * @param {number | null} share of the picture that was read, 0 to 1; null: shows none
   * @param {{rows: number, columns: number} | null} grid
   */
  show(share, grid) {
    const isShown = share !== null && share < 1 && grid !== null && grid.rows > 0;
    this.root.hidden = !isShown;
    if (!isShown) return;
    const { rows, columns } = grid;
    if (this.root.width !== columns) this.root.width = columns;
    if (this.root.height !== rows) this.root.height = rows;
    const context = /** @type {CanvasRenderingContext2D} */ (this.root.getContext("2d"));
    const n_read = Math.floor(share * rows * columns);
    context.clearRect(0, 0, columns, rows);
    fillCells(context, n_read, rows * columns, columns, UNREAD);
    fillCells(context, Math.max(0, n_read - N_FRESH), n_read, columns, FRESH);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} from @param {number} to cells in reading order
 * @param {number} columns @param {string} colour
 */
function fillCells(context, from, to, columns, colour) {
  context.fillStyle = colour;
  for (let i = from; i < to; i++) context.fillRect(i % columns, Math.floor(i / columns), 1, 1);
}

/**
 * @param {HTMLElement} node
 * @param {{x: number, y: number, width?: number, height?: number}} box fractions
 */
export function place(node, { x, y, width, height }) {
  node.style.left = `${100 * x}%`;
  node.style.top = `${100 * y}%`;
  if (width) node.style.width = `${100 * width}%`;
  if (height) node.style.height = `${100 * height}%`;
}
