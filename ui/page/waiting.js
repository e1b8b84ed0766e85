/** The card of an answer that is not complete: four steps, one bar, what one can do. */

/** @import { Running } from "./running.js" */
/** @import { Stage } from "./progress.js" */
import { button, el, put } from "./dom.js";
import { STAGES } from "./progress.js";
import { about, exact, say } from "./words.js";

/**
 * @typedef {object} Actions
 * @property {() => void} stop
 * @property {(() => void) | null} smaller asks with smaller pictures
 * @property {string} smallerLabel
 * @property {(() => void) | null} part chooses a part of the picture
 * @property {(() => void) | null} tell asks for a notification
 */

export class WaitingCard {
  #steps;
  #bar = el("i");
  #track;
  #head = el("b");
  #live = el("span", { class: "unseen", role: "status" });
  #more = el("span");
  /** @type {Stage | "next" | "lost" | ""} */
  #told = "";

  /** @param {Actions} actions */
  constructor({ stop, smaller, smallerLabel, part, tell }) {
    this.#steps = new Map(
      STAGES.map((stage) => {
        const seconds = el("small");
        return [stage, { item: el("li", {}, say(`stage_${stage}`), seconds), seconds }];
      }),
    );
    this.#track = el(
      "div",
      { class: "bar", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": say("progress") },
      this.#bar,
    );
    this.node = el(
      "div",
      { class: "waiting" },
      el("ol", {}, ...[...this.#steps.values()].map(({ item }) => item)),
      this.#track,
      el("p", {}, this.#head, this.#more, this.#live),
      el(
        "div",
        { class: "actions" },
        button(say("stop"), stop, { class: "quiet" }),
        tell && button(say("tell_me"), tell, { class: "quiet tell" }),
        smaller && button(smallerLabel, smaller, { class: "quiet warm" }),
        part && button(say("only_part"), part, { class: "quiet warm" }),
      ),
    );
  }

  /**
   * Shows the state of `running`; null: another tab follows it.
   * @param {Running | undefined} running
   * @param {number} now in milliseconds
   */
  show(running, now) {
    if (!running || running.isWaiting) {
      this.node.classList.add("bare");
      this.#announce(running ? "next" : "", say(running ? "lined_up" : "elsewhere"), "");
      return;
    }
    this.node.classList.remove("bare");
    const { progress } = running;
    for (const { stage, state, seconds, estimate } of progress.steps(now)) {
      const step = this.#steps.get(stage);
      if (!step) continue;
      step.item.className = state;
      if (state === "now") step.item.setAttribute("aria-current", "step");
      else step.item.removeAttribute("aria-current");
      const text =
        state === "done"
          ? exact(seconds)
          : state === "later"
            ? say("about", { time: about(estimate) })
            : stage === "queue" && progress.position
              ? say("place", { n: progress.position })
              : say("of_about", { n: Math.floor(seconds), time: about(estimate) });
      put(step.seconds, text);
    }
    const percent = Math.round(progress.fraction(now) * 100);
    this.#bar.style.width = `${percent}%`;
    this.#track.setAttribute("aria-valuenow", String(percent));
    const time = about(progress.left(now));
    if (progress.isLost) {
      this.#announce("lost", say("connection_lost"), say("connection_lost_more"));
    } else {
      const isInLine = progress.stage === "queue" && progress.position;
      const inLine = progress.isLoading ? say("loading_model", { time }) : say("in_line", { n: progress.position ?? 0, time });
      const head = isInLine ? inLine : say(`doing_${progress.stage}`, { time });
      const elapsed = say("so_far", { time: exact(progress.elapsed(now)) });
      const first = progress.isRetried ? say("retried") : isInLine ? "" : elapsed;
      this.#announce(progress.stage, head, `${first} ${say("may_leave")}`.trim());
    }
  }

  /**
   * @param {Stage | "next" | "lost" | ""} state announced when it changes, once
   * @param {string} head
   * @param {string} more
   */
  #announce(state, head, more) {
    put(this.#head, head);
    put(this.#more, more);
    if (state === this.#told) return;
    this.#told = state;
    put(this.#live, head);
  }
}
