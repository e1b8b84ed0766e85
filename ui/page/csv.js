/** Tables as CSV (RFC 4180). Pure. */

const NUMBER = /^[-+]?[\d.,\s]*%?$/;
/** A spreadsheet would compute what begins so. */
const FORMULA = /^[=+\-@\t\r]/;

/** @param {(string | number)[][]} rows */
export function csv(rows) {
  return rows.map((row) => row.map(cell).join(",")).join("\r\n");
}

/** What a spreadsheet would compute is made text. @param {string | number} value */
function cell(value) {
  const text = String(value);
  const plain = FORMULA.test(text) && !NUMBER.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}
