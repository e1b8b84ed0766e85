/** The pictures of a conversation side by side, to choose from; later the pages of a PDF. */

/** @import { PictureRef, Say } from "./records.js" */
/** @import { PictureStore } from "./picture_store.js" */

import { clock } from "./clips.js";
import { button, el, put } from "./dom.js";
import { thumbnail } from "./thumbnail.js";

/**
 * A picture on the stage. One of the question that is being written (`isDraft`) can be
 * taken away again, or be sent as it was chosen (`isOriginal`).
 *
 * @typedef {{ref: PictureRef, isDraft: boolean, isOriginal?: boolean}} Item
 */

export class Strip {
  root;
  #list;
  #chosen = 0;
  /** What is shown: clicks and focus are lost where it is made again without need. */
  #sign = "";
  /** Addresses of the small pictures, by digest. @type {Map<string, string>} */
  #urls = new Map();

  /**
   * @param {object} ways
   * @param {Say} ways.say
   * @param {PictureStore} ways.pictures
   * @param {(index: number) => void} ways.onChoose
   * @param {(index: number) => void} ways.onRemove
   * @param {() => void} ways.onAdd
   */
  constructor(ways) {
    this.ways = ways;
    const { say } = ways;
    this.#list = el("ul", { class: "strip-list", "aria-label": say("stage.pictures") });
    const add = button(say("stage.add"), ways.onAdd, {
      class: "strip-add",
      icon: "add",
      iconOnly: true,
    });
    this.root = el("div", { class: "stage-strip" }, this.#list, add);
  }

  /** @param {Item[]} items @param {number} chosen */
  show(items, chosen) {
    const sign = JSON.stringify([items, chosen]);
    if (sign === this.#sign) return;
    this.#sign = sign;
    const needed = new Set(items.map(({ ref }) => ref.sha256));
    for (const [digest, url] of this.#urls) {
      if (needed.has(digest)) continue;
      URL.revokeObjectURL(url);
      this.#urls.delete(digest);
    }
    this.#chosen = chosen;
    const hadFocus = this.#list.contains(document.activeElement);
    put(this.#list, ...items.map((item, i) => this.#entry(item, i, !item.ref.clip || items[i - 1]?.ref.clip !== item.ref.clip)));
    const shown = this.#list.children[chosen];
    shown?.scrollIntoView({ block: "nearest", inline: "nearest" });
    if (hadFocus) shown?.querySelector("button")?.focus({ preventScroll: true });
  }

  /** @param {Item} item @param {number} index @param {boolean} isStart of a picture or a video */
  #entry({ ref, isDraft }, index, isStart) {
    const { say, onChoose, onRemove } = this.ways;
    const name = ref.clip ? say("frame_of", { name: ref.name, time: clock(ref.seconds ?? 0) }) : ref.name || say("stage.unnamed", { n: index + 1 });
    const picture = thumbnail(name);
    this.#load(ref.sha256, picture);
    const isChosen = index === this.#chosen;
    const choose = el(
      "button",
      {
        type: "button",
        class: "strip-picture",
        "aria-label": name,
        title: name,
        "aria-current": isChosen ? "true" : null,
        onclick: () => onChoose(index),
      },
      picture,
      ref.clip && el("span", { class: "strip-time" }, clock(ref.seconds ?? 0)),
    );
    // a video goes as a whole, at its first frame
    const remove =
      isDraft &&
      isStart &&
      button(say("stage.remove", { name }), () => onRemove(index), {
        class: "strip-remove",
        icon: "close",
        iconOnly: true,
      });
    return el("li", {}, choose, remove);
  }

  /** @param {string} digest @param {HTMLImageElement} picture */
  async #load(digest, picture) {
    let url = this.#urls.get(digest);
    if (!url) {
      const blob = await this.ways.pictures.read(digest);
      if (!blob) return;
      url = URL.createObjectURL(blob);
      this.#urls.set(digest, url);
    }
    picture.src = url;
  }
}
