/** The page before the first question: where pictures go in, and what to try. */

/** @import { Service } from "./service.js" */
/** @import { Example } from "./tasks.js" */
import { button, el, icon, put } from "./dom.js";
import { total } from "./service.js";
import { drawn, EXAMPLES } from "./tasks.js";
import { about, say } from "./words.js";

const THUMB_PX = 352;

export class EmptyPage {
  /** @type {HTMLElement} */
  node;
  #service;
  /** @type {Map<Example, HTMLElement>} */
  #prices = new Map();

  /**
   * @param {Service} service
   * @param {object} actions
   * @param {() => void} actions.choose
   * @param {() => void} actions.photograph
   * @param {(example: Example) => void} actions.ask
   */
  constructor(service, { choose, photograph, ask }) {
    this.#service = service;
    const isTouch = matchMedia("(pointer: coarse)").matches; // nothing can be dropped
    const examples = EXAMPLES.map((example) => {
      const price = el("small");
      this.#prices.set(example, price);
      const picture = drawn(example, THUMB_PX / example.width);
      picture.setAttribute("aria-hidden", "true");
      return el(
        "button",
        { type: "button", class: "example", onclick: () => ask(example) },
        picture,
        el("b", {}, say(`example_${example.name}`)),
        price,
      );
    });
    this.node = el(
      "section",
      { class: "empty" },
      el("div", { class: "sign" }, icon("picture")),
      el("h2", {}, say(isTouch ? "placeholder_first" : "drop_anywhere")),
      !isTouch && el("p", {}, say("or_paste")),
      el(
        "div",
        { class: "ways" },
        button(say("choose_picture"), choose, { class: "main choose", icon: "add" }),
        button(say("take_photo"), photograph, { class: "photograph", icon: "camera" }),
      ),
      el("h3", {}, say("try_one")),
      el("div", { class: "examples" }, ...examples),
      el("p", { class: "fine" }, say("private")),
    );
    service.watch(() => this.#showPrices());
    this.#showPrices();
  }

  #showPrices() {
    for (const [{ width, height }, node] of this.#prices) {
      const seconds = total(this.#service.price([this.#service.imageTokens(width, height)], 30));
      put(node, this.#service.state === "ready" ? say("price_now", { time: about(seconds) }) : "\u00a0");
    }
  }
}
