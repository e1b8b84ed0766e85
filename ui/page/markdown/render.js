/** A Markdown text as DOM nodes, updated where it has changed. */

/** @import { Block, Item } from "./blocks.js" */
/** @import { Inline } from "./inline.js" */
import { el } from "../dom.js";
import { parseBlocks } from "./blocks.js";
import { parseInline } from "./inline.js";
import { formula } from "./math.js";

/**
 * Shows `text` in `host`. Blocks that are shown already keep their nodes: while an
 * answer grows only its last block is built again.
 * @param {HTMLElement} host
 * @param {string} text
 */
export function showMarkdown(host, text) {
  const blocks = parseBlocks(text);
  rankHeadings(blocks);
  const nodes = [...host.children];
  let n = 0;
  while (n < blocks.length && nodes[n] && sources.get(/** @type {Element} */ (nodes[n])) === blocks[n]?.source) n += 1;
  for (const node of nodes.slice(n)) node.remove();
  for (const block of blocks.slice(n)) {
    const node = blockNode(block);
    sources.set(node, block.source);
    host.append(node);
  }
}

/** An answer's headings stand below the page's title, and leave no level out. @param {Block[]} blocks */
function rankHeadings(blocks) {
  const headings = blocks.filter((block) => block.kind === "heading");
  const levels = [...new Set(headings.map(({ level }) => level))].sort();
  for (const heading of headings) heading.level = levels.indexOf(heading.level) + 2;
}

/** @type {WeakMap<Element, string>} */
const sources = new WeakMap();

/** @param {Block} block @returns {HTMLElement} */
function blockNode(block) {
  switch (block.kind) {
    case "heading":
      return el(/** @type {"h2"} */ (`h${Math.min(6, block.level)}`), {}, ...inline(block.text));
    case "paragraph":
      return el("p", {}, ...inline(block.text));
    case "code":
      return el("pre", { tabindex: 0 }, el("code", { "data-language": block.language || null }, block.text));
    case "math":
      return el("p", { class: "formula", tabindex: 0 }, formula(block.text, true));
    case "quote":
      return el("blockquote", {}, ...block.children.map(blockNode));
    case "rule":
      return el("hr");
    case "table":
      return tableNode(block);
    case "list": {
      const items = block.items.map((item) => itemNode(item, block.isLoose));
      return block.start === null ? el("ul", {}, ...items) : el("ol", { start: block.start }, ...items);
    }
  }
}

/** @param {Item} item @param {boolean} isLoose */
function itemNode({ isDone, children }, isLoose) {
  const nodes = children.map((block) =>
    block.kind === "paragraph" && !isLoose ? el("span", {}, ...inline(block.text)) : blockNode(block),
  );
  if (isDone === null) return el("li", {}, ...nodes);
  const box = el("input", { type: "checkbox", disabled: true, checked: isDone, "aria-label": isDone ? "☑" : "☐" });
  return el("li", { class: "task" }, box, ...nodes);
}

/** @param {Extract<Block, {kind: "table"}>} table */
function tableNode({ align, rows }) {
  const [head = [], ...body] = rows;
  /** @param {"th" | "td"} tag @param {string[]} cells */
  const row = (tag, cells) =>
    el("tr", {}, ...cells.map((cell, n) => el(tag, { class: align[n] || null, scope: tag === "th" ? "col" : null }, ...inline(cell))));
  return el(
    "div",
    { class: "scroll", tabindex: 0 },
    el("table", {}, el("thead", {}, row("th", head)), el("tbody", {}, ...body.map((cells) => row("td", cells)))),
  );
}

/** @param {string} text */
const inline = (text) => parseInline(text).map(inlineNode);

/** @param {Inline} part @returns {Node} */
function inlineNode(part) {
  switch (part.kind) {
    case "text":
      return document.createTextNode(part.text);
    case "code":
      return el("code", {}, part.text);
    case "break":
      return el("br");
    case "math":
      return formula(part.text, part.isBlock);
    case "link":
      return el("a", { href: part.href, rel: "noopener noreferrer nofollow", target: "_blank" }, ...part.children.map(inlineNode));
    default:
      return el(part.kind, {}, ...part.children.map(inlineNode));
  }
}
