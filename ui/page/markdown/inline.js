/**
 * Text within a block of Markdown (CommonMark 0.31, GitHub's strikethrough, formulas).
 * HTML is text, as it was typed; pictures become links. Pure.
 */

/**
 * @typedef {{kind: "text" | "code" | "break", text: string}
 *   | {kind: "math", text: string, isBlock: boolean}
 *   | {kind: "em" | "strong" | "del", children: Inline[]}
 *   | {kind: "link", href: string, children: Inline[]}} Inline
 */

const ESCAPABLE = /^\\([!-/:-@[-`{-~])/;
const ADDRESS = /^https?:\/\/[^\s<>"')\]]*[^\s<>"')\].,;:!?]/;
const BRACKETED = /^<(https?:\/\/[^\s<>]*|mailto:[^\s<>]+)>/;
const LINK_END = /^\]\(\s*<?([^\s<>()]*(?:\([^\s<>()]*\)[^\s<>()]*)*)>?(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)/;
const ENTITY = /^&(amp|lt|gt|quot|nbsp|copy|times|deg|euro|#\d{1,7}|#x[0-9a-f]{1,6});/i;
const ENTITIES = {
  amp: "&", lt: "<", gt: ">", quot: '"', nbsp: "\u00a0", copy: "©", times: "×", deg: "°", euro: "€",
};
/** Prices are not formulas: the opening $ has no space behind it, the closing none before
 * it and no digit behind it. */
const DOLLARS = /^\$(?![\s$])((?:[^$\\\n]|\\.)*?[^\s\\$])\$(?!\d)/;
const FORMULAS = [
  { begins: /^\$\$([\s\S]+?)\$\$/, isBlock: true },
  { begins: /^\\\[([\s\S]+?)\\\]/, isBlock: true },
  { begins: /^\\\(([\s\S]+?)\\\)/, isBlock: false },
  { begins: DOLLARS, isBlock: false },
];
const DEEPEST = 12;
/** How far away something may close: no text makes the search long. */
const FARTHEST = 3000;

/**
 * @param {string} text
 * @param {number} [depth]
 * @returns {Inline[]}
 */
export function parseInline(text, depth = 0) {
  /** @type {Inline[]} */
  const found = [];
  let plain = "";
  let at = 0;
  const flush = () => {
    if (plain) found.push({ kind: "text", text: plain });
    plain = "";
  };
  while (at < text.length) {
    const next = depth < DEEPEST && special(text, at, depth);
    if (!next) {
      plain += text[at];
      at += 1;
    } else if (typeof next.inline === "string") {
      plain += next.inline;
      at += next.length;
    } else {
      if (next.inline.kind === "break") plain = plain.trimEnd();
      flush();
      found.push(next.inline);
      at += next.length;
    }
  }
  flush();
  return found;
}

/**
 * What begins at `at`, if it is more than a character.
 * @param {string} text
 * @param {number} at
 * @param {number} depth
 * @returns {{inline: Inline | string, length: number} | null}
 */
function special(text, at, depth) {
  const letter = /** @type {string} */ (text[at]);
  switch (letter) {
    case "\\":
      return formula(text, at) ?? escaped(text, at);
    case "$":
      return formula(text, at);
    case "`":
      return code(text, at);
    case "*":
    case "_":
    case "~":
      return emphasis(text, at, letter, depth);
    case "[":
      return link(text, at, depth);
    case "!":
      return text[at + 1] === "[" ? shifted(link(text, at + 1, depth), 1) : null;
    case "<":
      return address(BRACKETED.exec(text.slice(at, at + 2000)));
    case "h":
      return /\w/.test(text[at - 1] ?? "") ? null : address(ADDRESS.exec(text.slice(at, at + 2000)));
    case "&":
      return entity(text, at);
    case "\n":
      return lineBreak(text, at);
    default:
      return null;
  }
}

/** @param {{inline: Inline | string, length: number} | null} found @param {number} by */
const shifted = (found, by) => found && { ...found, length: found.length + by };

/** @param {string} text @param {number} at */
function escaped(text, at) {
  if (text[at + 1] === "\n") return { inline: /** @type {Inline} */ ({ kind: "break", text: "" }), length: 2 };
  const found = ESCAPABLE.exec(text.slice(at, at + 2));
  return found && { inline: /** @type {string} */ (found[1]), length: 2 };
}

/** @param {string} text @param {number} at */
function formula(text, at) {
  const rest = text.slice(at, at + 4000);
  for (const { begins, isBlock } of FORMULAS) {
    const found = begins.exec(rest);
    if (found) {
      const inline = /** @type {Inline} */ ({ kind: "math", text: found[1], isBlock });
      return { inline, length: found[0].length };
    }
  }
  return null;
}

/** @param {string} text @param {number} at */
function code(text, at) {
  const run = /** @type {RegExpExecArray} */ (/^`+/.exec(text.slice(at, at + FARTHEST)))[0];
  const near = text.slice(0, at + run.length + FARTHEST);
  let end = near.indexOf(run, at + run.length);
  while (end > 0 && (near[end + run.length] === "`" || near[end - 1] === "`")) {
    end = near.indexOf(run, end + 1);
  }
  if (end < 0) return { inline: run, length: run.length };
  let inside = text.slice(at + run.length, end).replaceAll("\n", " ");
  if (/^ .* $/.test(inside) && inside.trim()) inside = inside.slice(1, -1);
  return {
    inline: /** @type {Inline} */ ({ kind: "code", text: inside }),
    length: end + run.length - at,
  };
}

/**
 * @param {string} text
 * @param {number} at
 * @param {string} letter
 * @param {number} depth
 */
function emphasis(text, at, letter, depth) {
  const run = /** @type {RegExpExecArray} */ (/^([*_~])\1*/.exec(text.slice(at, at + 4)))[0];
  const before = text[at - 1] ?? " ";
  const after = text[at + run.length] ?? " ";
  const whole = { inline: run, length: run.length };
  if (/\s/.test(after) || run.length > 3) return whole;
  if (letter === "_" && /\w/.test(before)) return whole;
  if (letter === "~" && run.length !== 2) return whole;
  const end = closing(text, at + run.length, run);
  if (end < 0) return whole;
  let children = parseInline(text.slice(at + run.length, end), depth + 1);
  if (run.length === 3) children = [{ kind: "em", children }];
  const kind = letter === "~" ? "del" : run.length === 1 ? "em" : "strong";
  return {
    inline: /** @type {Inline} */ ({ kind, children }),
    length: end + run.length - at,
  };
}

/**
 * Where the run closes; -1: nowhere.
 * @param {string} text
 * @param {number} from
 * @param {string} run
 */
function closing(text, from, run) {
  const letter = run[0];
  const near = text.slice(0, from + FARTHEST);
  for (let end = near.indexOf(run, from); end >= 0; end = near.indexOf(run, end + 1)) {
    let length = run.length;
    while (near[end + length] === letter) length += 1;
    const isFree = letter !== "_" || !/\w/.test(text[end + run.length] ?? " ");
    if (length === run.length && isFree && !/[\s\\]/.test(text[end - 1] ?? " ")) return end;
    end += length - 1;
  }
  return -1;
}

/** @param {string} text @param {number} at @param {number} depth */
function link(text, at, depth) {
  let level = 0;
  for (let end = at; end < Math.min(text.length, at + 2000); end += 1) {
    if (text[end] === "\\") end += 1;
    else if (text[end] === "[") level += 1;
    else if (text[end] === "]" && (level -= 1) === 0) {
      const found = LINK_END.exec(text.slice(end, end + 2000));
      const href = found && safe(/** @type {string} */ (found[1]));
      if (!found || !href) return null;
      const children = parseInline(text.slice(at + 1, end), depth + 1);
      return {
        inline: /** @type {Inline} */ ({ kind: "link", href, children }),
        length: end - at + found[0].length,
      };
    }
  }
  return null;
}

/** @param {RegExpExecArray | null} found */
function address(found) {
  const href = found?.[1] ?? found?.[0];
  if (!found || !href) return null;
  const children = [{ kind: "text", text: href }];
  return { inline: /** @type {Inline} */ ({ kind: "link", href, children }), length: found[0].length };
}

/** Only addresses that a browser opens without running anything. @param {string} href */
const safe = (href) => (/^(https?:\/\/|mailto:)/i.test(href) ? href : "");

/** @param {string} text @param {number} at */
function entity(text, at) {
  const found = ENTITY.exec(text.slice(at, at + 12));
  if (!found) return null;
  const name = /** @type {string} */ (found[1]).toLowerCase();
  const code = name.startsWith("#x") ? parseInt(name.slice(2), 16) : Number(name.slice(1));
  const letter = name.startsWith("#")
    ? String.fromCodePoint(code > 0 && code < 0x11_0000 ? code : 0xfffd)
    : ENTITIES[/** @type {keyof typeof ENTITIES} */ (name)];
  return { inline: letter, length: found[0].length };
}

/** @param {string} text @param {number} at */
function lineBreak(text, at) {
  const isHard = text.slice(Math.max(0, at - 2), at) === "  ";
  const inline = isHard ? /** @type {Inline} */ ({ kind: "break", text: "" }) : "\n";
  return { inline, length: 1 };
}
