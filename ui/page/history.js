/** The list of conversations: search, open, rename, remove with a way back. */

/** @import { Conversation, Say } from "./records.js" */
/** @import { Store } from "./store.js" */
/** @import { Mode } from "./history_entry.js" */

import { button, el, isComposing, put } from "./dom.js";
import { foot } from "./history_foot.js";
import { entry } from "./history_entry.js";
import { UNDO_MS } from "./store.js";

/** Shown at once; a button shows as many more. */
const PAGE = 50;
const TYPING_MS = 150;
/** Where the focus goes from what an entry no longer shows. @type {Record<string, string>} */
const ASKED_BY = { field: "rename", no: "remove" };

/**
 * @typedef {object} HistoryWays
 * @property {Say} say
 * @property {string} language for dates
 * @property {Store} store
 * @property {(id: string | null) => void} onOpen null: a new conversation
 * @property {() => void} onRemoved the open conversation; the list stays, to undo it
 * @property {() => void} onClose
 */

export class History {
  /** The conversation that is open. @type {string | null} */
  #open = null;
  /** The entry that asks for something. @type {{id: string, mode: Mode}} */
  #asking = { id: "", mode: "none" };
  #nShown = PAGE;
  #nRefreshed = 0;
  #search;
  #list = el("ul", { class: "history-list", onpointerdown: (/** @type {PointerEvent} */ { button }) => (this.#isPressed = button === 0) });
  /** Whether a button is down: the entry under it stays, or its click would be lost. */
  #isPressed = false;
  #notice = el("div", { class: "history-notice", role: "status" });

  /** @param {HTMLElement} host @param {HistoryWays} ways */
  constructor(host, ways) {
    this.ways = ways;
    const { say, store } = ways;
    let typing = 0;
    this.#search = el("input", {
      type: "search",
      class: "history-search",
      dir: "auto",
      "aria-label": say("history.search"),
      placeholder: say("history.search"),
      oninput: () => {
        clearTimeout(typing);
        typing = window.setTimeout(() => this.refresh(), TYPING_MS);
      },
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key !== "Escape" || !this.#search.value || isComposing(event)) return;
        event.preventDefault(); // Escape closes one thing at a time
        this.#search.value = "";
        this.refresh();
      },
    });
    host.append(
      el(
        "nav",
        { class: "history", "aria-label": say("history") },
        el(
          "div",
          { class: "history-head" },
          button(say("history.new"), () => ways.onOpen(null), { class: "history-new", icon: "add" }),
          button(say("close"), ways.onClose, { class: "history-close", icon: "close", iconOnly: true }),
        ),
        this.#search,
        this.#list,
        this.#notice,
        foot({
          say,
          store,
          open: () => this.#open,
          onSaid: (said) => put(this.#notice, el("p", {}, said)),
          onRemoveAll: async () => this.#remove((await store.conversations()).map(({ id }) => id)),
        }),
      ),
    );
    for (const end of ["pointerup", "pointercancel", "contextmenu", "dragend"]) addEventListener(end, () => this.#release());
    store.watch(({ message }) => void (message || this.refresh()));
    this.refresh();
  }

  /** @param {string | null} id of the conversation that is open now */
  showOpen(id) {
    this.#open = id;
    this.refresh();
  }

  #release() {
    if (!this.#isPressed) return;
    this.#isPressed = false;
    setTimeout(() => this.refresh()); // the click comes first
  }

  /** Shows what is in the store and fits the search. */
  async refresh() {
    if (this.#asking.mode === "renaming" && this.#list.querySelector("input")) return;
    const turn = ++this.#nRefreshed;
    const { store } = this.ways;
    const wanted = this.#search.value.trim();
    const [all, jobs, hits] = await Promise.all([
      store.conversations(),
      store.jobs(),
      wanted ? store.search(wanted) : null,
    ]);
    if (turn !== this.#nRefreshed || this.#isPressed) return; // a later one knows more
    const found = hits ? all.filter(({ id }) => hits.has(id)) : all;
    this.#show(found, new Set(jobs.map(({ conversation }) => conversation)));
  }

  /** @param {Conversation[]} found @param {Set<string>} running */
  #show(found, running) {
    const { say } = this.ways;
    const focus = this.#focus();
    const entries = found.slice(0, this.#nShown).map((one) =>
      entry(
        one,
        {
          isOpen: one.id === this.#open,
          isRunning: running.has(one.id),
          mode: one.id === this.#asking.id ? this.#asking.mode : "none",
        },
        {
          ...this.ways,
          pictures: this.ways.store.pictures,
          onMode: (id, mode) => this.#ask(id, mode),
          onRename: (id, title) => this.#rename(id, title),
          onRemove: (id) => this.#remove([id]),
        },
      ),
    );
    const more = () => {
      this.#nShown += PAGE;
      this.refresh();
    };
    const rest = found.length > entries.length;
    put(
      this.#list,
      ...entries,
      rest && el("li", {}, button(say("history.more"), more)),
      !found.length && el("li", { class: "history-none" }, say(this.#search.value.trim() ? "history.none" : "history.empty")),
    );
    focus?.();
  }

  /** @returns {(() => void) | undefined} puts the focus where it was in the old list */
  #focus() {
    const at = /** @type {HTMLElement | null} */ (document.activeElement);
    const id = at?.closest("[data-id]")?.getAttribute("data-id");
    if (!id || !this.#list.contains(at)) return;
    const { mode } = this.#asking;
    const asks = id === this.#asking.id && mode !== "none";
    const action = at?.dataset.action ?? "open";
    const next = asks ? (mode === "renaming" ? "field" : "no") : (ASKED_BY[action] ?? action);
    return () => this.#part(id, next)?.focus();
  }

  /** @param {string} id @param {string} action @returns {HTMLElement | null} */
  #part(id, action) {
    return this.#list.querySelector(`[data-id="${id}"] [data-action=${action}]`);
  }

  /** @param {string} id @param {Mode} mode */
  #ask(id, mode) {
    this.#asking = { id, mode };
    this.refresh();
  }

  /** @param {string} id @param {string} title */
  async #rename(id, title) {
    this.#asking = { id, mode: "none" };
    await this.ways.store.changeConversation(id, { title });
  }

  /** @param {string[]} ids of conversations that can come back for a while */
  async #remove(ids) {
    const { say, store, onRemoved } = this.ways;
    const change = (/** @type {number | undefined} */ removed) =>
      Promise.all(ids.map((id) => store.changeConversation(id, { removed })));
    await change(Date.now());
    if (this.#open && ids.includes(this.#open)) onRemoved();
    const purge = setTimeout(async () => {
      notice.remove();
      await store.purge(...ids);
    }, UNDO_MS);
    const undo = button(say("undo"), () => {
      clearTimeout(purge);
      notice.remove();
      this.#asking = { id: "", mode: "none" };
      change(undefined);
    });
    const notice = el("p", {}, say("history.removed", { n: ids.length }), undo);
    this.#notice.append(notice);
    undo.focus();
  }
}
