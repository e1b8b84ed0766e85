/** Builds DOM nodes. Text is always text: nothing on this page is made from HTML. */

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Record<string, unknown>} Props */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. A property that begins with `on` is a listener, `true` an attribute without
 * a value; null, undefined and false are left out.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Props} [props]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  set(node, props);
  fill(node, children);
  return node;
}

/**
 * @param {Element} node
 * @param {Props} props
 */
export function set(node, props) {
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) {
      node.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else if (value === null || value === undefined || value === false) {
      node.removeAttribute(name);
    } else {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
}

/**
 * Replaces the children of a node.
 * @param {Element} node
 * @param {...Child} children
 */
export function put(node, ...children) {
  node.replaceChildren();
  fill(node, children);
}

/** Says something in a region that is read aloud at each change, so only what is new. @param {Element} node @param {string} text */
export function tell(node, text) {
  if (node.textContent !== text) put(node, text);
}

/**
 * @param {Element} node
 * @param {Child[]} children
 */
function fill(node, children) {
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) {
      node.append(child instanceof Node ? child : String(child));
    }
  }
}

/**
 * The mount point `id` of the shell.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function mount(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The shell has no #${id}.`);
  return found;
}

/** Outlines of 24x24 pixels. */
const ICONS = {
  add: "M12 5v14M5 12h14",
  back: "M15 5l-7 7 7 7",
  camera: "M4 8h3l2-3h6l2 3h3v11H4zM12 10a3.5 3.5 0 100 7 3.5 3.5 0 000-7z",
  chart: "M4 20V10M10 20V4M16 20v-7M21 20H3",
  close: "M6 6l12 12M18 6L6 18",
  crop: "M7 3v14h14M3 7h14v14",
  down: "M12 5v14M6 13l6 6 6-6",
  export: "M12 4v11M7 11l5 5 5-5M5 20h14",
  fit: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  forward: "M9 5l7 7-7 7",
  globe: "M12 3a9 9 0 100 18 9 9 0 000-18zM3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18",
  import: "M12 15V4M7 8l5-5 5 5M5 20h14",
  light: "M12 3a9 9 0 100 18zM12 3a9 9 0 010 18",
  menu: "M4 7h16M4 12h16M4 17h16",
  minus: "M5 12h14",
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.5h.01",
  remove: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10 11v5M14 11v5",
  rename: "M4 20l1-4L16 5l3 3L8 19zM14 7l3 3",
  search: "M11 4a7 7 0 100 14 7 7 0 000-14zM16 16l5 5",
  send: "M12 19V6M6 11l6-6 6 6",
  frame: "M4 7V4h3M17 4h3v3M20 17v3h-3M7 20H4v-3M8 8h8v8H8z",
  settings: "M4 7h10M18 7h2M14 5v4M4 17h2M10 17h10M8 15v4",
  stop: "M7 7h10v10H7z",
};

/**
 * @param {keyof typeof ICONS} name
 * @returns {SVGElement}
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  set(svg, { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" });
  const path = document.createElementNS(SVG, "path");
  set(path, { d: ICONS[name] });
  svg.append(path);
  return svg;
}

/**
 * A button with a name: the words in it, or `label` where it shows only an icon.
 * @param {string} label
 * @param {(event: MouseEvent) => void} onclick
 * @param {Props & {icon?: keyof typeof ICONS, iconOnly?: boolean}} [props]
 */
export function button(label, onclick, { icon: name, iconOnly, ...props } = {}) {
  const named = iconOnly ? { "aria-label": label, title: label } : {};
  return el(
    "button",
    { type: "button", onclick, ...named, ...props },
    name && icon(name),
    !iconOnly && label,
  );
}

/** Whether a key belongs to an input method; Safari ends that before the Enter. @param {KeyboardEvent} event */
export const isComposing = (event) => event.isComposing || event.keyCode === 229;
