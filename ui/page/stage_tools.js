/** The line above the stage: what is shown, and what can be done with it. */

/** @import { Say } from "./records.js" */
/** @import { Item } from "./strip.js" */

import { button, el, put } from "./dom.js";

/**
 * @typedef {object} ToolWays
 * @property {Say} say
 * @property {(direction: number) => void} zoom
 * @property {() => void} fit
 * @property {() => void} openCrop
 * @property {() => void} askPart
 * @property {() => void} closeCrop
 * @property {() => void} switchFull
 * @property {(isOriginal: boolean) => void} sendOriginal
 */

export class StageTools {
  root = el("div", { class: "stage-tools" });
  #fit;
  /** What is shown: clicks and focus are lost where it is made again without need. */
  #sign = "";

  /** @param {ToolWays} ways */
  constructor(ways) {
    this.ways = ways;
    this.#fit = this.#icon("stage.fit", "fit", ways.fit);
  }

  /** @param {{item: Item | null, isSeen: boolean, isCropping: boolean, isFull: boolean}} state */
  show({ item, isSeen, isCropping, isFull }) {
    const sign = JSON.stringify([item, isSeen, isCropping, isFull]);
    if (sign === this.#sign) return;
    this.#sign = sign;
    const { ways } = this;
    const { say } = ways;
    if (isCropping) {
      put(
        this.root,
        el("span", { class: "stage-name" }, say("stage.crop.how")),
        button(say("stage.crop.ask"), ways.askPart, { class: "is-main" }),
        button(say("cancel"), ways.closeCrop),
      );
      return;
    }
    const look = [
      this.#icon("stage.out", "minus", () => ways.zoom(-1)),
      this.#fit,
      this.#icon("stage.in", "add", () => ways.zoom(1)),
      button(say("stage.crop"), ways.openCrop, { icon: "crop", class: "stage-part" }),
    ];
    put(
      this.root,
      el("span", { class: "stage-name", title: item?.ref.name }, item?.ref.name),
      item?.ref.isFirst && el("span", { class: "stage-size" }, say("stage.first_frame")),
      item && this.#size(item),
      ...(isSeen ? look : []),
      isFull
        ? this.#icon("close", "close", ways.switchFull)
        : isSeen && this.#icon("stage.full", "frame", ways.switchFull),
    );
  }

  /** @param {boolean} isFitted */
  showFitted(isFitted) {
    this.#fit.setAttribute("aria-pressed", String(isFitted));
  }

  /** How large it is sent. @param {Item} item */
  #size({ ref, isDraft, isOriginal = false }) {
    const { say, sendOriginal } = this.ways;
    const { width, height } = ref;
    if (!width) return null;
    const size = say("stage.size", { width, height, tokens: ref.rows * ref.columns });
    if (!isDraft || ref.clip || !(ref.original || isOriginal)) return el("span", { class: "stage-size" }, size);
    const box = el("input", {
      type: "checkbox",
      checked: isOriginal,
      onchange: () => {
        this.#sign = ""; // the box is made again, as it is then
        sendOriginal(box.checked);
      },
    });
    const pixels = el("span", { class: "stage-pixels" }, `${size} ·`);
    return el("label", { class: "stage-size" }, pixels, box, say("stage.original"));
  }

  /**
   * @param {string} key
   * @param {"fit" | "minus" | "add" | "close" | "frame"} icon
   * @param {() => void} onclick
   */
  #icon(key, icon, onclick) {
    const isZoom = icon !== "close" && icon !== "frame";
    return button(this.ways.say(key), onclick, { icon, iconOnly: true, class: isZoom ? "stage-zoom" : null });
  }
}
