/** What a model thought before its answer: a block that a person may unfold. */

import { el, put } from "./dom.js";
import { showMarkdown } from "./markdown/render.js";
import { countWords, say } from "./words.js";

export class Thoughts {
  #title = el("summary");
  #text = el("div", { class: "markdown", dir: "auto" });
  #shown = "";
  node = el("details", { class: "thoughts", hidden: true }, this.#title, this.#text);

  constructor() {
    // what is folded is not built while it grows
    this.node.addEventListener("toggle", () => this.#draw());
  }

  /** @param {string} text all of it so far */
  show(text) {
    if (text === this.#shown) return;
    this.#shown = text;
    this.node.hidden = !text;
    const n = countWords(text);
    put(this.#title, say("thoughts"), n > 1 && ` · ${say("words", { n })}`);
    this.#draw();
  }

  #draw() {
    if (this.node.open) showMarkdown(this.#text, this.#shown);
  }
}
