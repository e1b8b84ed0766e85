/** Copies text; tables as CSV. */

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

/**
 * All tables below `node` as CSV (RFC 4180), with an empty line between them. A cell that
 * a spreadsheet would compute is made text.
 * @param {Element} node
 */
export function tablesAsCsv(node) {
  return [...node.querySelectorAll("table")]
    .map((table) => [...table.rows].map((row) => [...row.cells].map(csvCell).join(",")).join("\r\n"))
    .join("\r\n\r\n");
}

/** @param {HTMLTableCellElement} cell */
function csvCell(cell) {
  const text = (cell.textContent ?? "").trim();
  const isNumber = /^[-+]?[\d.,\s]*%?$/.test(text);
  const plain = !isNumber && /^[=+\-@]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}
