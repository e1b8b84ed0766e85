/** One message on the page: a question, or an answer with what can be done with it. */

/** @import { Kind } from "./marks_file.js" */
/** @import { Message, PictureRef } from "./records.js" */
/** @import { Running } from "./running.js" */
/** @import { Remedy } from "./failures.js" */
import { groups } from "./clips.js";
import { copy, tablesAsCsv, textOf } from "./clipboard.js";
import { isRunning } from "./conversation.js";
import { button, el, icon, put } from "./dom.js";
import { FailureCard } from "./failures.js";
import { showMarkdown } from "./markdown/render.js";
import { shownOf } from "./ready_task.js";
import { thumbnail } from "./thumbnail.js";
import { Thoughts } from "./thoughts.js";
import { WaitingCard } from "./waiting.js";
import { countWords, exact, number, say } from "./words.js";

const COPIED_MS = 1500;

/**
 * What a person may do with a message.
 * @typedef {object} TurnActions
 * @property {(message: Message) => void} stop
 * @property {(message: Message) => void} again
 * @property {(message: Message) => void} goOn
 * @property {(message: Message) => void} edit
 * @property {(message: Message) => void} smaller
 * @property {(message: Message) => void} part
 * @property {(() => void) | null} tell
 * @property {(message: Message, remedy: Remedy) => void} remedy
 * @property {(message: Message) => void} show a branch
 * @property {(picture: PictureRef) => void} look
 * @property {(picture: PictureRef) => Promise<Blob | null>} picture
 * @property {(message: Message, id: string | null) => void} light a mark on the picture
 * @property {(message: Message, id: string) => void} find a mark: shows its picture
 * @property {(message: Message, kind: Kind) => void} saveMarks
 * @property {(message: Message) => string} smallerLabel empty: it would not help
 */

export class QuestionView {
  node = el("li", { class: "question" });

  /** @param {Message} message @param {Message[]} branches @param {TurnActions} actions */
  constructor(message, branches, actions) {
    this.message = message;
    const pictures = groups(message.pictures).flatMap(([first]) => (first ? [shownPicture(first, actions)] : [])); // of a video the first frame
    put(
      this.node,
      pictures.length > 0 && el("div", { class: "thumbs" }, ...pictures),
      message.text && el("div", { class: "bubble", dir: "auto", title: message.task ? message.text : "" }, shownOf(message)),
      el(
        "div",
        { class: "actions small" },
        branchSwitch(message, branches, actions.show),
        button(say("edit"), () => actions.edit(message), { class: "plain" }),
      ),
    );
  }
}

/** @param {PictureRef} picture @param {TurnActions} actions */
function shownPicture(picture, actions) {
  const image = thumbnail(picture.name);
  const node = button(picture.name, () => actions.look(picture), { class: "thumb", iconOnly: true });
  node.append(image);
  void actions.picture(picture).then((blob) => {
    if (blob) image.src = URL.createObjectURL(blob);
    else put(node, say("picture_gone_short"));
  });
  image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
  return node;
}

/** @param {Message} message @param {Message[]} all @param {(message: Message) => void} show */
function branchSwitch(message, all, show) {
  if (all.length < 2) return null;
  const n = all.findIndex(({ id }) => id === message.id);
  const [before, after] = [all[n - 1], all[n + 1]];
  return el(
    "span",
    { class: "branches" },
    button(say("branch_before"), () => before && show(before), { icon: "back", iconOnly: true, class: "plain", disabled: !before }),
    say("branch_of", { n: n + 1, of: all.length }),
    button(say("branch_after"), () => after && show(after), { icon: "forward", iconOnly: true, class: "plain", disabled: !after }),
  );
}

export class AnswerView {
  #thoughts = new Thoughts();
  #text = el("div", { class: "markdown", dir: "auto" });
  #foot = el("div", { class: "foot" });
  /** @type {WaitingCard | FailureCard | null} */
  #card = null;
  #shown = "";

  /** @param {Message} message @param {TurnActions} actions */
  constructor(message, actions) {
    this.message = message;
    this.actions = actions;
    this.node = el("li", { class: "answer" }, this.#thoughts.node, this.#text, this.#foot);
  }

  /**
   * @param {Message} message
   * @param {Running | undefined} running
   * @param {Message[]} branches
   */
  update(message, running, branches) {
    this.message = message;
    const { text, thoughts } = running && isRunning(message) ? running : message;
    this.#thoughts.show(thoughts ?? "");
    if (text !== this.#shown) {
      showMarkdown(this.#text, text);
      this.#shown = text;
    }
    const sign = [isRunning(message) ? "running" : message.state, message.error?.code, message.again, branches.length, Boolean(message.measured?.usage)].join();
    if (sign !== this.node.dataset.sign) {
      this.node.dataset.sign = sign;
      this.#setCard(message);
      put(this.#foot, ...(isRunning(message) ? [] : this.#footer(message, branches)));
    }
    this.tick(running, Date.now());
  }

  /** @param {Running | undefined} running @param {number} now */
  tick(running, now) {
    if (this.#card instanceof WaitingCard) this.#card.show(running, now);
  }

  close() {
    if (this.#card instanceof FailureCard) this.#card.close();
  }

  /** @param {Message} message */
  #setCard(message) {
    this.close();
    this.#card?.node.remove();
    const { actions } = this;
    if (isRunning(message)) {
      const smallerLabel = actions.smallerLabel(message);
      this.#card = new WaitingCard({
        stop: () => actions.stop(this.message),
        smaller: smallerLabel ? () => actions.smaller(this.message) : null,
        smallerLabel,
        part: smallerLabel ? () => actions.part(this.message) : null,
        tell: actions.tell,
      });
    } else if (message.state === "failed") {
      this.#card = new FailureCard(message, (remedy) => actions.remedy(this.message, remedy), () => actions.stop(this.message));
    } else this.#card = null;
    if (this.#card) this.#text.after(this.#card.node);
  }

  /** @param {Message} message @param {Message[]} branches */
  #footer(message, branches) {
    const { actions } = this;
    const isCut = message.finish_reason === "length";
    return [
      message.state === "stopped" && el("p", { class: "note", role: "status" }, stoppedAfter(message.text)),
      this.#marks(message),
      isCut && el("p", { class: "note" }, say("cut"), " ", message.text && button(say("go_on"), () => actions.goOn(message), { class: "quiet" })),
      message.measured?.dropped_messages ? el("p", { class: "note" }, say("dropped")) : null,
      message.measured?.first_only_pictures ? el("p", { class: "note" }, say("first_only")) : null,
      el(
        "div",
        { class: "actions small" },
        branchSwitch(message, branches, actions.show),
        message.text && copyButton("copy", () => textOf(this.#text)),
        message.text && copyButton("copy_markdown", () => message.text),
        this.#text.querySelector("table") && copyButton("copy_table", () => tablesAsCsv(this.#text)),
        message.state !== "failed" && button(say("again"), () => actions.again(message), { class: "plain" }),
      ),
      measured(message),
    ];
  }

  /** The names of what is marked on the pictures, and the marks as files. @param {Message} message */
  #marks(message) {
    const { light, find, saveMarks } = this.actions;
    const names = (message.marks ?? []).map(({ id, label, hue }) =>
      button(label || say("mark", { n: Number(id) + 1 }), () => find(message, id), {
        class: `mark-name is-hue-${hue}`,
        "data-mark": id,
        onmouseenter: () => light(message, id),
        onmouseleave: () => light(message, null),
        onfocus: () => light(message, id),
        onblur: () => light(message, null),
      }),
    );
    if (!names.length) return null;
    const files = /** @type {const} */ (["json", "csv", "coco"]).map((kind) =>
      button(kind.toUpperCase(), () => saveMarks(message, kind), { class: "plain", "aria-label": say("save_marks", { kind: kind.toUpperCase() }) }),
    );
    return el("div", {}, el("div", { class: "actions marks" }, ...names), el("div", { class: "actions small" }, icon("export"), ...files));
  }

  /** Lights the name of a mark that is pointed at on the picture. @param {string | null} id */
  lightName(id) {
    for (const name of this.#foot.querySelectorAll("[data-mark]")) {
      name.classList.toggle("is-lit", name.getAttribute("data-mark") === id);
    }
  }
}

/** @param {string} name of its text @param {() => string} text what it copies */
function copyButton(name, text) {
  let timer = 0;
  const copying = async () => {
    await copy(text());
    put(made, say("copied"));
    clearTimeout(timer);
    timer = window.setTimeout(() => put(made, say(name)), COPIED_MS);
  };
  const made = button(say(name), () => void copying(), { class: "plain" });
  return made;
}

/** @param {string} text of an answer that was stopped */
function stoppedAfter(text) {
  const n = countWords(text);
  if (!n) return say("stopped");
  return say(n === 1 ? "stopped_after_word" : "stopped_after", { n });
}

/** "waited 12 s · looked 6 s · wrote 9 s · 64 words · 8.1 tokens/s" @param {Message} message */
function measured({ measured: found, text }) {
  if (!found?.usage) return null;
  const { timings = {}, usage, seconds = 0, cached } = found;
  const n = countWords(text);
  const words = say(n === 1 ? "word" : "words", { n });
  if (cached) return el("p", { class: "measured" }, `${say("from_memory")} · ${words}`);
  const decodeS = (timings.tpot_ms * Math.max(0, usage.completion_tokens - 1)) / 1000;
  const waitedS = Math.max(0, seconds - (timings.ttft_ms ?? 0) / 1000 - decodeS);
  const parts = [
    waitedS >= 0.5 && say("waited", { time: exact(waitedS) }),
    timings.embed_ms > 50 && say("looked", { time: exact(timings.embed_ms / 1000) }),
    timings.prefill_ms > 50 && say("thought", { time: exact(timings.prefill_ms / 1000) }),
    decodeS > 0.05 && say("wrote", { time: exact(decodeS) }),
    words,
    timings.tpot_ms > 0 && say("tokens_per_second", { n: number(1000 / timings.tpot_ms) }),
  ];
  return el("p", { class: "measured" }, parts.filter(Boolean).join(" · "));
}
