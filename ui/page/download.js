/** Files that the page gives to the person. */

import { el } from "./dom.js";

/** @param {Blob} blob @param {string} name of the file, behind the day @param {string} suffix */
export function download(blob, name, suffix) {
  const day = new Date().toISOString().slice(0, 10);
  const url = URL.createObjectURL(blob);
  el("a", { href: url, download: `${name} ${day}.${suffix}` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
