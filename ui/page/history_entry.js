/** One conversation in the list: opens it; renames and removes it, both in place. */

/** @import { Conversation, PictureRef, Say } from "./records.js" */
/** @import { PictureStore } from "./picture_store.js" */

import { button, el, isComposing } from "./dom.js";
import { thumbnail } from "./thumbnail.js";

const LONGEST_TITLE = 200;

/** What the entry shows beside its title: nothing, a field for the title, a question.
 * @typedef {"none" | "renaming" | "removing"} Mode */

/**
 * @typedef {object} EntryWays
 * @property {Say} say
 * @property {string} language
 * @property {PictureStore} pictures
 * @property {(id: string) => void} onOpen
 * @property {(id: string, mode: Mode) => void} onMode
 * @property {(id: string, title: string) => void} onRename
 * @property {(id: string) => void} onRemove
 */

/**
 * @param {Conversation} conversation
 * @param {{isOpen: boolean, isRunning: boolean, mode: Mode}} state
 * @param {EntryWays} ways
 * @returns {HTMLLIElement}
 */
export function entry(conversation, { isOpen, isRunning, mode }, ways) {
  const { id } = conversation;
  const classes = ["history-entry", isOpen && "is-open", isRunning && "is-running"];
  const children =
    mode === "renaming"
      ? [renaming(conversation, ways)]
      : mode === "removing"
        ? removing(conversation, ways)
        : [opening(conversation, isOpen, isRunning, ways), ...actions(conversation, ways)];
  return el("li", { class: classes.filter(Boolean).join(" "), "data-id": id }, ...children);
}

/** @param {Conversation} conversation @param {EntryWays} ways */
function title({ title }, { say }) {
  return title || say("history.untitled");
}

/**
 * @param {Conversation} conversation
 * @param {boolean} isOpen
 * @param {boolean} isRunning
 * @param {EntryWays} ways
 */
function opening(conversation, isOpen, isRunning, ways) {
  const { say } = ways;
  const { cover, updated } = conversation;
  const picture = el("span", { class: "history-cover" });
  if (cover) showCover(cover, picture, ways.pictures);
  const about = [isRunning && say("history.running"), cover?.name, moment(updated, ways.language)];
  return el(
    "button",
    {
      type: "button",
      class: "history-open",
      "data-action": "open",
      "aria-current": isOpen ? "true" : null,
      onclick: () => ways.onOpen(conversation.id),
    },
    picture,
    el(
      "span",
      { class: "history-text" },
      el("span", { class: "history-title", dir: "auto" }, title(conversation, ways)),
      el("small", {}, about.filter(Boolean).join(" · ")),
    ),
  );
}

/** @param {Conversation} conversation @param {EntryWays} ways */
function actions(conversation, ways) {
  const named = { title: title(conversation, ways) };
  const action = (/** @type {"rename" | "remove"} */ name, /** @type {Mode} */ mode) =>
    button(ways.say(`history.${name}`, named), () => ways.onMode(conversation.id, mode), {
      class: "history-action",
      "data-action": name,
      icon: name,
      iconOnly: true,
    });
  return [action("rename", "renaming"), action("remove", "removing")];
}

/** @param {Conversation} conversation @param {EntryWays} ways */
function renaming(conversation, ways) {
  const rename = () => ways.onRename(conversation.id, field.value.trim() || conversation.title);
  const field = el("input", {
    class: "history-field",
    dir: "auto",
    value: conversation.title,
    maxlength: LONGEST_TITLE,
    "aria-label": ways.say("history.title"),
    "data-action": "field",
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      if (!["Enter", "Escape"].includes(event.key) || isComposing(event)) return;
      event.preventDefault(); // Escape closes one thing at a time
      if (event.key === "Escape") field.value = conversation.title;
      field.removeEventListener("blur", rename); // it keeps the focus until the entry is shown again
      rename();
    },
    onblur: rename,
  });
  return field;
}

/** @param {Conversation} conversation @param {EntryWays} ways */
function removing(conversation, ways) {
  const { say, onMode, onRemove } = ways;
  const { id } = conversation;
  return [
    el("p", {}, say("history.remove.ask", { title: title(conversation, ways) })),
    button(say("history.remove.yes"), () => onRemove(id), { class: "is-danger", "data-action": "yes" }),
    button(say("cancel"), () => onMode(id, "none"), { "data-action": "no" }),
  ];
}

/** @param {PictureRef} cover @param {HTMLElement} host @param {PictureStore} pictures */
async function showCover(cover, host, pictures) {
  const blob = await pictures.read(cover.sha256);
  if (!blob) return;
  const image = thumbnail(cover.name);
  const url = URL.createObjectURL(blob);
  for (const end of ["load", "error"]) image.addEventListener(end, () => URL.revokeObjectURL(url));
  host.append(image);
  image.src = url;
}

/** @param {number} time @param {string} language @returns {string} today's by the clock */
function moment(time, language) {
  const isToday = new Date(time).toDateString() === new Date().toDateString();
  /** @type {Intl.DateTimeFormatOptions} */
  const format = isToday ? { timeStyle: "short" } : { dateStyle: "medium" };
  return new Intl.DateTimeFormat(language, format).format(time);
}
