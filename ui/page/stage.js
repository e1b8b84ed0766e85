/**
 * The stage: one picture, large, with zoom and pan; a part of it can be asked about; the
 * marks of an answer and the cells that were read lie on it. Below it all pictures.
 */

/** @import { PictureRef, Say } from "./records.js" */
/** @import { PictureStore } from "./picture_store.js" */
/** @import { Mark } from "./overlay.js" */
/** @import { Rect } from "./raster.js" */
/** @import { Item } from "./strip.js" */

import { lastStart } from "./clips.js";
import { Crop } from "./crop.js";
import { el } from "./dom.js";
import { Cells, Marks } from "./overlay.js";
import { StageTools } from "./stage_tools.js";
import { Strip } from "./strip.js";
import { Viewport } from "./viewport.js";

/**
 * What the rest of the page does for the stage. `onPart` gets the file that is shown and
 * the chosen part in pixels of the upright picture, as `prepare` takes them.
 *
 * @typedef {object} StageWays
 * @property {Say} say
 * @property {PictureStore} pictures
 * @property {() => void} onAdd
 * @property {(index: number) => void} onRemove
 * @property {(index: number, isOriginal: boolean) => void} onOriginal
 * @property {(file: Blob, part: Rect, ref: PictureRef) => void} onPart
 * @property {(id: string | null) => void} onPoint a mark that is pointed at
 */

export class Stage {
  /** @type {Item[]} */
  #items = [];
  #index = 0;
  /** @type {Blob | null} */
  #file = null;
  #url = "";
  #isSeen = false;
  /** @type {StageWays["onPart"]} */
  #onPart = () => {};
  /** @type {{sha256: string, share: number} | null} */
  #progress = null;
  #marks;
  /** @type {Mark[]} on all pictures */
  #all = [];
  #cells = new Cells();
  #crop;
  #tools;
  #strip;
  #viewport;
  #image = el("img", { alt: "", draggable: "false" });
  #gone = el("p", { class: "stage-gone", role: "status", hidden: true });
  #frame;
  #content;
  #full;

  /** @param {HTMLElement} host @param {StageWays} ways */
  constructor(host, ways) {
    this.ways = ways;
    const { say } = ways;
    this.#marks = new Marks((id) => this.#point(id), (mark) => this.#ask(mark, ways.onPart));
    this.#crop = new Crop(say("stage.crop.keys"));
    this.#strip = new Strip({ ...ways, onChoose: (index) => this.show(this.#items, index) });
    this.#content = el(
      "div",
      { class: "stage-picture" },
      this.#image,
      this.#cells.root,
      this.#marks.root,
    );
    this.#frame = el(
      "div",
      { class: "stage-frame", tabindex: "0", role: "group", "aria-label": say("stage.keys") },
      this.#content,
    );
    this.#tools = new StageTools({
      say,
      zoom: (direction) => this.#viewport.step(direction),
      fit: () => this.#viewport.fit(),
      openCrop: () => this.openCrop(),
      askPart: () => this.#ask(this.#crop.rect),
      closeCrop: () => this.#closeCrop(),
      switchFull: () => this.#switchFull(),
      sendOriginal: (isOriginal) => ways.onOriginal(this.#index, isOriginal),
    });
    this.root = el("div", { class: "stage", hidden: true });
    this.root.append(this.#tools.root, this.#frame, this.#gone, this.#strip.root);
    this.root.addEventListener("keydown", (event) => this.#key(event));
    this.#full = el("dialog", { class: "stage-full", "aria-label": say("stage.full") });
    this.#full.addEventListener("close", () => {
      host.append(this.root);
      this.#showTools();
    });
    host.append(this.root, this.#full);
    this.#viewport = new Viewport(this.#frame, this.#content, (isFitted) =>
      this.#tools.showFitted(isFitted),
    );
  }

  /** The picture that is shown. */
  get shown() {
    return this.#items[this.#index]?.ref ?? null;
  }

  /**
   * @param {Item[]} items
   * @param {number} [index] of the one that is shown; else the last, or the same one where
   *   the pictures are the same: who looks at another one is not led away
   */
  async show(items, index = this.#usual(items)) {
    const before = this.shown?.sha256;
    this.#items = items;
    this.#index = Math.max(0, Math.min(index, items.length - 1));
    this.root.hidden = !items.length;
    this.#strip.show(items, this.#index);
    this.#showCells();
    const ref = this.shown;
    if (ref && ref.sha256 !== before) await this.#load(ref);
    this.mark(this.#all);
    this.#showTools();
  }

  /** @param {Item[]} items @returns {number} */
  #usual(items) {
    const names = (/** @type {Item[]} */ some) => some.map(({ ref }) => ref.sha256).join();
    return names(items) === names(this.#items) ? this.#index : lastStart(items.map(({ ref }) => ref));
  }

  /** @param {Mark[]} marks on all pictures; a click on a box asks about that part */
  mark(marks) {
    this.#all = marks;
    this.#marks.show(marks.filter(({ sha256 }) => sha256 === this.shown?.sha256));
  }

  /** @param {string | null} id of the mark that lights up, if its picture is shown */
  light(id) {
    this.#marks.light(id);
  }

  /** Shows the picture of a mark, and lights it. @param {string} id */
  async find(id) {
    const mark = this.#all.find((one) => one.id === id);
    const index = this.#items.findIndex(({ ref }) => ref.sha256 === mark?.sha256);
    if (index >= 0 && index !== this.#index) await this.show(this.#items, index);
    this.light(id);
  }

  /** @param {{sha256: string, share: number} | null} progress of reading a picture */
  progress(progress) {
    this.#progress = progress;
    this.#showCells();
  }

  /** @param {PictureRef} ref */
  async #load(ref) {
    this.#closeCrop();
    const file = await this.ways.pictures.readLargest(ref);
    const url = file ? URL.createObjectURL(file) : "";
    const next = new Image();
    next.src = url;
    const isSeen = await next.decode().then(() => true, () => false);
    if (this.shown?.sha256 !== ref.sha256) return URL.revokeObjectURL(url); // another one was chosen
    URL.revokeObjectURL(this.#url);
    [this.#file, this.#url, this.#isSeen] = [file, url, isSeen];
    this.#frame.hidden = !isSeen;
    this.#gone.hidden = isSeen;
    const { say } = this.ways;
    const name = ref.name || say("stage.unnamed", { n: this.#index + 1 });
    const mb = Math.max(0.1, (file?.size ?? 0) / 1e6).toLocaleString(document.documentElement.lang, {
      maximumFractionDigits: 1,
    });
    this.#gone.textContent = file ? say("stage.unreadable", { name, mb }) : say("stage.gone");
    this.#image.src = url;
    this.#image.alt = name;
    if (isSeen) this.#viewport.show({ width: next.naturalWidth, height: next.naturalHeight });
  }

  #showTools() {
    this.#tools.show({
      item: this.#items[this.#index] ?? null,
      isSeen: this.#isSeen,
      isCropping: this.#crop.root.isConnected,
      isFull: this.#full.open,
    });
  }

  #showCells() {
    const ref = this.shown;
    const isRead = ref !== null && ref.sha256 === this.#progress?.sha256;
    this.#cells.show(isRead && this.#progress ? this.#progress.share : null, ref);
  }

  /** @param {string | null} id */
  #point(id) {
    this.light(id);
    this.ways.onPoint(id);
  }

  /** Lets a person choose a part of the shown picture. @param {StageWays["onPart"]} onPart */
  openCrop(onPart = this.ways.onPart) {
    this.#onPart = onPart;
    this.#content.append(this.#crop.root);
    this.#crop.open(this.#viewport.visible);
    this.#showTools();
  }

  #closeCrop() {
    if (!this.#crop.root.isConnected) return;
    this.#crop.root.remove();
    this.#showTools();
    this.#frame.focus({ preventScroll: true });
  }

  /** @param {Rect} part in fractions @param {StageWays["onPart"]} onPart */
  #ask({ x, y, width, height }, onPart = this.#onPart) {
    const { naturalWidth, naturalHeight } = this.#image;
    const ref = this.shown;
    if (!this.#file || !ref) return;
    const [left, top] = [Math.round(x * naturalWidth), Math.round(y * naturalHeight)];
    const part = {
      x: left,
      y: top,
      width: Math.max(1, Math.min(Math.round(width * naturalWidth), naturalWidth - left)),
      height: Math.max(1, Math.min(Math.round(height * naturalHeight), naturalHeight - top)),
    };
    this.#closeCrop();
    if (this.#full.open) this.#full.close();
    onPart(this.#file, part, ref);
  }

  /** The whole window for the picture. A dialog is above all else and closes by Escape. */
  #switchFull() {
    if (this.#full.open) return this.#full.close();
    this.#full.append(this.root);
    this.#full.showModal();
    this.#showTools();
    this.#frame.focus();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (!this.#crop.root.isConnected) return;
    if (event.key === "Escape") this.#closeCrop();
    else if (event.key === "Enter" && event.target === this.#crop.frame) this.#ask(this.#crop.rect);
    else return;
    event.preventDefault(); // Escape closes one thing at a time
    event.stopPropagation();
  }
}
