/** A small picture of a file; where this browser cannot decode it, the kind of the file. */

import { el } from "./dom.js";

/** @param {string} name of the file @returns {HTMLImageElement} whose `src` is to be set */
export function thumbnail(name) {
  const image = el("img", { alt: "", decoding: "async" });
  const kind = name.includes(".") ? (name.split(".").at(-1) ?? "") : "";
  const instead = () => image.replaceWith(el("span", { class: "file-kind" }, kind.slice(0, 5)));
  image.addEventListener("error", instead, { once: true });
  return image;
}
