/** Formulas, by the KaTeX that Gradio brings; it is loaded with the first one. */

import { el } from "../dom.js";

/** @typedef {{render: (tex: string, host: HTMLElement, options: object) => void}} Katex */

/** @type {Promise<Katex | null> | undefined} */
let loading;

/**
 * A node in which a formula appears; its source until then, and where it is wrong.
 * @param {string} tex
 * @param {boolean} isBlock
 */
export function formula(tex, isBlock) {
  const host = el("span", { class: "math", title: tex }, tex);
  loading ??= load();
  void loading.then((katex) => {
    try {
      katex?.render(tex, host, { displayMode: isBlock, maxExpand: 200, maxSize: 20, strict: "ignore", trust: false });
    } catch {
      host.replaceChildren(tex);
    }
  });
  return host;
}

/** @returns {Promise<Katex | null>} null: not there, and the source stays */
async function load() {
  const named = document.querySelector("meta[name=edge-katex]")?.getAttribute("content");
  const [script, style] = named?.split(" ") ?? [];
  if (!script || !style) return null;
  document.head.append(el("link", { rel: "stylesheet", href: style }));
  try {
    return (await import(new URL(script, document.baseURI).href)).default;
  } catch {
    return null;
  }
}
