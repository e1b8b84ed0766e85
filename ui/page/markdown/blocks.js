/**
 * The blocks of a Markdown text (CommonMark 0.31, GitHub's tables and task lists,
 * formulas). HTML is text. Pure.
 */

/**
 * `source` is the text of the block, by which an unchanged one is recognised.
 * @typedef {{source: string} & (
 *   {kind: "heading", level: number, text: string}
 *   | {kind: "paragraph", text: string}
 *   | {kind: "code", language: string, text: string}
 *   | {kind: "math", text: string}
 *   | {kind: "quote", children: Block[]}
 *   | {kind: "list", start: number | null, items: Item[], isLoose: boolean}
 *   | {kind: "table", align: Align[], rows: string[][]}
 *   | {kind: "rule"})} Block
 */
/** @typedef {{isDone: boolean | null, children: Block[]}} Item */
/** @typedef {"left" | "center" | "right" | ""} Align */

const FENCE = /^ {0,3}(`{3,}(?=[^`]*$)|~{3,})\s*([^\s`]*)/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+|$)(.*?)(?:[ \t]+#+)?[ \t]*$/;
const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])( {1,4}(?=\S)| {1,}|\t|$)/;
const TASK = /^\[([ xX])\][ \t]+/;
const DELIMITERS = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const MATH = /^ {0,3}(\$\$|\\\[)/;
const UNDERLINE = /^ {0,3}(=+|-+)[ \t]*$/;
const DEEPEST = 8;

/**
 * @param {string} text
 * @param {number} [depth]
 * @returns {Block[]}
 */
export function parseBlocks(text, depth = 0) {
  const lines = text.replace(/\r\n?/g, "\n").replaceAll("\t", "    ").split("\n");
  /** @type {Block[]} */
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    if (!line(lines, at).trim()) {
      at += 1;
      continue;
    }
    const { block, end } = read(lines, at, depth);
    block.source = lines.slice(at, end).join("\n");
    blocks.push(block);
    at = end;
  }
  return blocks;
}

/** @param {string[]} lines @param {number} at */
const line = (lines, at) => /** @type {string} */ (lines[at]);

/**
 * @param {string[]} lines
 * @param {number} at
 * @param {number} depth
 * @returns {{block: Block, end: number}}
 */
function read(lines, at, depth) {
  const first = line(lines, at);
  const heading = HEADING.exec(first);
  if (heading) {
    const [, marks = "", text = ""] = heading;
    return { block: { source: "", kind: "heading", level: marks.length, text }, end: at + 1 };
  }
  if (FENCE.test(first)) return fenced(lines, at);
  if (RULE.test(first)) return { block: { source: "", kind: "rule" }, end: at + 1 };
  if (MATH.test(first)) {
    const found = math(lines, at);
    if (found) return found;
  }
  if (depth < DEEPEST) {
    if (QUOTE.test(first)) return quote(lines, at, depth);
    if (ITEM.test(first)) return list(lines, at, depth);
  }
  if (isTable(lines, at)) return table(lines, at);
  return paragraph(lines, at);
}

/** @param {string[]} lines @param {number} at */
function fenced(lines, at) {
  const [, fence = "", language = ""] = /** @type {RegExpExecArray} */ (FENCE.exec(line(lines, at)));
  const closes = new RegExp(`^ {0,3}${fence[0] === "`" ? "`" : "~"}{${fence.length},}\\s*$`);
  let end = at + 1;
  while (end < lines.length && !closes.test(line(lines, end))) end += 1;
  const text = lines.slice(at + 1, end).join("\n");
  return { block: /** @type {Block} */ ({ source: "", kind: "code", language, text }), end: Math.min(end + 1, lines.length) };
}

/** @param {string[]} lines @param {number} at */
function math(lines, at) {
  const closer = line(lines, at).trimStart().startsWith("$$") ? "$$" : "\\]";
  for (let end = at; end < Math.min(lines.length, at + 100); end += 1) {
    const whole = lines.slice(at, end + 1).join("\n").trim();
    if (whole.length > 4 && whole.endsWith(closer)) {
      const text = whole.slice(2, -2).trim();
      return { block: /** @type {Block} */ ({ source: "", kind: "math", text }), end: end + 1 };
    }
    if (end > at && !line(lines, end).trim()) return null;
  }
  return null;
}

/** @param {string[]} lines @param {number} at @param {number} depth */
function quote(lines, at, depth) {
  let end = at;
  const inside = [];
  while (end < lines.length && line(lines, end).trim() && (QUOTE.test(line(lines, end)) || !begins(lines, end))) {
    inside.push(line(lines, end).replace(QUOTE, ""));
    end += 1;
  }
  const children = parseBlocks(inside.join("\n"), depth + 1);
  return { block: /** @type {Block} */ ({ source: "", kind: "quote", children }), end };
}

/** @param {string[]} lines @param {number} at @param {number} depth */
function list(lines, at, depth) {
  const [, , mark = ""] = /** @type {RegExpExecArray} */ (ITEM.exec(line(lines, at)));
  const isOrdered = /\d/.test(mark);
  const sort = mark.slice(-1);
  /** @type {Item[]} */
  const items = [];
  let isLoose = false;
  let end = at;
  while (end < lines.length) {
    const found = ITEM.exec(line(lines, end));
    if (!found || !/** @type {string} */ (found[2]).endsWith(sort) || RULE.test(line(lines, end))) break;
    const [whole, indent = "", itsMark = ""] = found;
    const width = line(lines, end).trim() === itsMark ? indent.length + itsMark.length + 1 : whole.length;
    const inside = [line(lines, end).slice(whole.length)];
    end += 1;
    while (end < lines.length) {
      const next = line(lines, end);
      const isBlank = !next.trim();
      if (isBlank) {
        const after = lines.slice(end).find((one) => one.trim());
        const goesOn = after !== undefined && after.search(/\S/) >= width;
        const isNext = after !== undefined && ITEM.test(after);
        if (!goesOn && !isNext) break;
        isLoose = true;
        if (!goesOn) {
          end += 1;
          continue;
        }
        inside.push("");
      } else if (next.search(/\S/) >= width) inside.push(next.slice(width));
      else if (ITEM.test(next) || begins(lines, end) || inside.at(-1) === "") break;
      else inside.push(next.trimStart());
      end += 1;
    }
    const task = TASK.exec(/** @type {string} */ (inside[0]));
    if (task) inside[0] = /** @type {string} */ (inside[0]).slice(task[0].length);
    const isDone = task ? task[1] !== " " : null;
    items.push({ isDone, children: parseBlocks(inside.join("\n"), depth + 1) });
  }
  const start = isOrdered ? parseInt(mark, 10) : null;
  return { block: /** @type {Block} */ ({ source: "", kind: "list", start, items, isLoose }), end };
}

/** @param {string[]} lines @param {number} at */
function isTable(lines, at) {
  const next = lines[at + 1];
  if (next === undefined || !line(lines, at).includes("|") || !DELIMITERS.test(next)) return false;
  return cells(line(lines, at)).length === cells(next).length;
}

/** @param {string[]} lines @param {number} at */
function table(lines, at) {
  const align = cells(line(lines, at + 1)).map((cell) => {
    const [left, right] = [cell.startsWith(":"), cell.endsWith(":")];
    return left && right ? "center" : right ? "right" : left ? "left" : "";
  });
  const rows = [cells(line(lines, at))];
  let end = at + 2;
  while (end < lines.length && line(lines, end).includes("|")) {
    const row = cells(line(lines, end)).slice(0, align.length);
    rows.push([...row, ...Array(align.length - row.length).fill("")]);
    end += 1;
  }
  return { block: /** @type {Block} */ ({ source: "", kind: "table", align, rows }), end };
}

/** The cells of a row; `\|` is a bar. @param {string} row */
function cells(row) {
  const bare = row.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  return bare.split(/(?<!\\)\|/).map((cell) => cell.replaceAll("\\|", "|").trim());
}

/** @param {string[]} lines @param {number} at */
function paragraph(lines, at) {
  let end = at + 1;
  while (end < lines.length && line(lines, end).trim()) {
    const underline = UNDERLINE.exec(line(lines, end));
    if (underline) {
      const level = /** @type {string} */ (underline[1]).startsWith("=") ? 1 : 2;
      const text = lines.slice(at, end).join("\n").trim();
      return { block: /** @type {Block} */ ({ source: "", kind: "heading", level, text }), end: end + 1 };
    }
    if (begins(lines, end)) break;
    end += 1;
  }
  // spaces at the end of a line are a line break
  const text = lines.slice(at, end).map((one) => one.trimStart()).join("\n").trimEnd();
  return { block: /** @type {Block} */ ({ source: "", kind: "paragraph", text }), end };
}

/** Whether another block begins, also in the middle of a paragraph. @param {string[]} lines @param {number} at */
function begins(lines, at) {
  const one = line(lines, at);
  const item = ITEM.exec(one);
  const isItem = item && one.trim() !== item[2] && (!/\d/.test(item[2] ?? "") || parseInt(item[2] ?? "", 10) === 1);
  return [FENCE, HEADING, RULE, QUOTE, MATH].some((sign) => sign.test(one)) || Boolean(isItem) || isTable(lines, at);
}
