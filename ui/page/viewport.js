/**
 * Zoom and pan of one picture in its frame: by wheel, pinch, drag, double click and keys.
 */

/** @typedef {{x: number, y: number}} Point */

const STEP = 1.25;
/** Screen pixels for one of the picture, at most. */
const MOST_SCALE = 8;
const PAN_PX = 60;
/** A click may move less than this. */
const LEAST_PX = 4;

export class Viewport {
  #size = { width: 1, height: 1 };
  /** Screen pixels for one of the picture, and where its upper left corner is. */
  #scale = 1;
  #x = 0;
  #y = 0;
  #isFitted = true;
  /** @type {Map<number, Point>} */
  #pointers = new Map();

  /**
   * @param {HTMLElement} frame what shows a part
   * @param {HTMLElement} content what is moved, with everything that lies on the picture
   * @param {(isFitted: boolean) => void} onChange after each change
   */
  constructor(frame, content, onChange) {
    this.frame = frame;
    this.content = content;
    this.onChange = onChange;
    new ResizeObserver(() => (this.#isFitted ? this.fit() : this.#apply())).observe(frame);
    frame.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    frame.addEventListener("pointerdown", (event) => this.#press(event));
    frame.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of /** @type {const} */ (["pointerup", "pointercancel"])) {
      frame.addEventListener(end, (event) => this.#pointers.delete(event.pointerId));
    }
    frame.addEventListener("dblclick", (event) => this.#toggle(event));
    frame.addEventListener("keydown", (event) => this.#key(event));
  }

  /** @param {{width: number, height: number}} size of the picture, in pixels */
  show(size) {
    this.#size = size;
    this.fit();
  }

  /** Shows the whole picture; a small one in its own pixels. */
  fit() {
    this.#isFitted = true;
    this.#scale = this.#fitScale();
    this.#x = (this.frame.clientWidth - this.#size.width * this.#scale) / 2;
    this.#y = (this.frame.clientHeight - this.#size.height * this.#scale) / 2;
    this.#apply();
  }

  /** @param {number} direction 1: nearer, -1: further away */
  step(direction) {
    const { clientWidth, clientHeight } = this.frame;
    this.#zoom(STEP ** direction, { x: clientWidth / 2, y: clientHeight / 2 });
  }

  /**
   * The part of the picture that can be seen.
   *
   * @returns {{x: number, y: number, width: number, height: number}} in fractions of it
   */
  get visible() {
    const width = this.#size.width * this.#scale;
    const height = this.#size.height * this.#scale;
    const [x, y] = [Math.max(0, -this.#x / width), Math.max(0, -this.#y / height)];
    return {
      x,
      y,
      width: Math.min(1, (this.frame.clientWidth - this.#x) / width) - x,
      height: Math.min(1, (this.frame.clientHeight - this.#y) / height) - y,
    };
  }

  #fitScale() {
    const { clientWidth, clientHeight } = this.frame;
    const { width, height } = this.#size;
    return Math.max(Math.min(clientWidth / width, clientHeight / height, 2), 0.001);
  }

  /** @param {number} factor @param {Point} at stays where it is, in the frame */
  #zoom(factor, at) {
    const least = this.#fitScale();
    const scale = Math.min(Math.max(this.#scale * factor, least), Math.max(MOST_SCALE, least));
    if (scale <= least * 1.001) return this.fit();
    this.#x = at.x - ((at.x - this.#x) * scale) / this.#scale;
    this.#y = at.y - ((at.y - this.#y) * scale) / this.#scale;
    this.#scale = scale;
    this.#isFitted = false;
    this.#apply();
  }

  /** @param {number} dx @param {number} dy */
  #pan(dx, dy) {
    if (this.#isFitted) return;
    this.#x += dx;
    this.#y += dy;
    this.#apply();
  }

  #apply() {
    const width = this.#size.width * this.#scale;
    const height = this.#size.height * this.#scale;
    this.#x = bounded(this.#x, this.frame.clientWidth, width);
    this.#y = bounded(this.#y, this.frame.clientHeight, height);
    const style = { width: `${width}px`, height: `${height}px` };
    Object.assign(this.content.style, style, { transform: `translate(${this.#x}px, ${this.#y}px)` });
    this.frame.classList.toggle("is-zoomed", !this.#isFitted);
    this.onChange(this.#isFitted);
  }

  /** @param {MouseEvent} event @returns {Point} in the frame */
  #at({ clientX, clientY }) {
    const { left, top } = this.frame.getBoundingClientRect();
    return { x: clientX - left, y: clientY - top };
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault();
    this.#zoom(Math.exp(-Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY), 60) / 250), this.#at(event));
  }

  /** @param {PointerEvent} event */
  #press(event) {
    if (event.button !== 0 || event.defaultPrevented) return;
    this.#pointers.set(event.pointerId, this.#at(event));
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    if (!event.buttons) return void this.#pointers.delete(event.pointerId); // it was lifted outside
    const now = this.#at(event);
    if (distance(now, before) < LEAST_PX && !this.frame.hasPointerCapture(event.pointerId)) return;
    // not sooner: a click on a mark would be one on the frame
    if (!this.#isFitted) this.frame.setPointerCapture(event.pointerId);
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const middle = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
      this.#zoom(distance(now, other) / Math.max(1, distance(before, other)), middle);
    }
    const share = other ? 2 : 1; // of two fingers, each moves the middle by a half
    this.#pan((now.x - before.x) / share, (now.y - before.y) / share);
    this.#pointers.set(event.pointerId, now);
  }

  /** @param {MouseEvent} event */
  #toggle(event) {
    if (this.#isFitted) this.#zoom(Math.max(2, 1 / this.#scale), this.#at(event));
    else this.fit();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.target !== this.frame || event.ctrlKey || event.metaKey || event.altKey) return;
    /** @type {Record<string, () => void>} */
    const keys = {
      "+": () => this.step(1),
      "=": () => this.step(1),
      "-": () => this.step(-1),
      0: () => this.fit(),
      ArrowLeft: () => this.#pan(PAN_PX, 0),
      ArrowRight: () => this.#pan(-PAN_PX, 0),
      ArrowUp: () => this.#pan(0, PAN_PX),
      ArrowDown: () => this.#pan(0, -PAN_PX),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  }
}

/**
 * @param {number} at @param {number} frame @param {number} content
 * @returns {number} nearest to `at` without an empty edge; centred where it is smaller
 */
function bounded(at, frame, content) {
  if (content <= frame) return (frame - content) / 2;
  return Math.min(0, Math.max(frame - content, at));
}

/** @param {Point} a @param {Point} b */
function distance(a, b) {
  return Math.hypot(a.x - b.x, a.y - b.y);
}
