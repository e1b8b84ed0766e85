/** Copies text; tables as CSV. */

import { csv } from "./csv.js";
import { el } from "./dom.js";

/** @param {string} text */
export async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // without TLS there is no other way
  const box = el("textarea", { class: "unseen" }, text);
  document.body.append(box);
  box.select();
  document.execCommand("copy");
  box.remove();
}

/** The text of `node` as it is seen, with the sources of its formulas. @param {HTMLElement} node */
export function textOf(node) {
  const copied = withSources(node);
  node.after(copied); // what is not in the page has no lines
  const text = copied.innerText;
  copied.remove();
  return text;
}

/**
 * All tables below `node` as CSV, with an empty line between them.
 * @param {HTMLElement} node
 */
export function tablesAsCsv(node) {
  const tables = [...withSources(node).querySelectorAll("table")];
  const text = (/** @type {Element} */ cell) => (cell.textContent ?? "").trim();
  return tables.map((table) => csv([...table.rows].map((row) => [...row.cells].map(text)))).join("\r\n\r\n");
}

/** A copy in which formulas are what they were written as: KaTeX has each as text three times. @param {HTMLElement} node */
function withSources(node) {
  const copied = /** @type {HTMLElement} */ (node.cloneNode(true));
  for (const one of copied.querySelectorAll(/** @type {"span"} */ (".math"))) one.replaceWith(one.title);
  return copied;
}
