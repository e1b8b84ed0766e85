/** The turns of the open conversation, and their scrolling, which is never fought. */

/** @import { Asking } from "./asking.js" */
/** @import { OpenConversation } from "./conversation.js" */
/** @import { Message } from "./records.js" */
/** @import { TurnActions } from "./turn.js" */
import { isAwaited } from "./conversation.js";
import { button, el } from "./dom.js";
import { versions } from "./tree.js";
import { AnswerView, QuestionView } from "./turn.js";
import { say } from "./words.js";

const TICK_MS = 500;
const NEAR_PX = 48;

export class Talk {
  #host;
  #conversation;
  #asking;
  #actions;
  #list = el("ol", { class: "turns", "aria-label": say("conversation") });
  #live = el("div", { class: "unseen", role: "status" });
  #toEnd;
  /** @type {Map<string, QuestionView | AnswerView>} */
  #views = new Map();
  #isAtEnd = true;
  #isDrawing = false;

  /**
   * @param {HTMLElement} host which scrolls
   * @param {OpenConversation} conversation
   * @param {Asking} asking
   * @param {TurnActions} actions
   */
  constructor(host, conversation, asking, actions) {
    this.#host = host;
    this.#conversation = conversation;
    this.#asking = asking;
    this.#actions = actions;
    this.#toEnd = button(say("to_end"), () => this.toEnd(), { icon: "down", iconOnly: true, class: "to-end", hidden: true });
    host.append(this.#list, this.#toEnd, this.#live);
    host.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#isAtEnd && this.toEnd()).observe(host); // the composer grows
    conversation.watch(() => this.show());
    asking.watch((message) => this.#views.has(message) && this.#soon());
    setInterval(() => this.#tick(), TICK_MS);
  }

  /** Shows the branch as it is. */
  show() {
    const { path, messages } = this.#conversation;
    const wanted = new Set(path.map(({ id }) => id));
    for (const [id, view] of this.#views) {
      if (wanted.has(id)) continue;
      if (view instanceof AnswerView) view.close();
      view.node.remove();
      this.#views.delete(id);
    }
    for (const message of path) this.#showMessage(message, messages);
    if (this.#isAtEnd) this.toEnd();
  }

  /** @param {Message} message @param {Message[]} messages */
  #showMessage(message, messages) {
    const alternatives = versions(messages, message);
    let view = this.#views.get(message.id);
    if (message.role === "user") {
      const sign = `${alternatives.length}`;
      if (view?.node.dataset.sign === sign) return;
      const next = new QuestionView(message, alternatives, this.#actions);
      next.node.dataset.sign = sign;
      if (view) view.node.replaceWith(next.node);
      else this.#list.append(next.node);
      this.#views.set(message.id, next);
      return;
    }
    if (!(view instanceof AnswerView)) {
      view = new AnswerView(message, this.#actions);
      this.#list.append(view.node);
      this.#views.set(message.id, view);
    }
    const wasAwaited = isAwaited(/** @type {AnswerView} */ (view).message);
    /** @type {AnswerView} */ (view).update(message, this.#asking.running(message.id), alternatives);
    if (wasAwaited && message.state === "done") this.#live.textContent = `${say("answer")}: ${message.text}`;
  }

  /** Draws running answers again, once a frame at most. */
  #soon() {
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    requestAnimationFrame(() => {
      this.#isDrawing = false;
      this.show();
    });
  }

  /** Lights the name of a mark in an answer. @param {string | null} message @param {string | null} id */
  light(message, id) {
    const view = this.#views.get(message ?? "");
    if (view instanceof AnswerView) view.lightName(id);
  }

  #tick() {
    const now = Date.now();
    for (const [id, view] of this.#views) {
      if (view instanceof AnswerView) view.tick(this.#asking.running(id), now);
    }
  }

  /** Scrolls to the last line, and stays there while text comes. */
  toEnd() {
    this.#isAtEnd = true;
    this.#host.scrollTop = this.#host.scrollHeight;
    this.#toEnd.hidden = true;
  }

  #scrolled() {
    const below = this.#host.scrollHeight - this.#host.scrollTop - this.#host.clientHeight;
    this.#isAtEnd = below < NEAR_PX;
    this.#toEnd.hidden = this.#isAtEnd;
  }
}
