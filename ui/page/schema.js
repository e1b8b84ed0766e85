/** The panel in which a person edits the JSON Schema of an answer. */

import { button, el, put } from "./dom.js";
import { ownName } from "./ids.js";
import { keep, kept } from "./keeping.js";
import { say } from "./words.js";

const KEPT = ownName("edge.schema");

/**
 * @param {object} usual the schema at first; later the one that was used last
 * @returns {Promise<object | null>} null: the person left
 */
export function openSchema(usual) {
  const text = (/** @type {object} */ schema) => JSON.stringify(schema, null, 2);
  const last = kept(KEPT) ?? text(usual);
  const box = el("textarea", { id: "schema-text", rows: 16, spellcheck: "false", maxlength: 20_000 }, last);
  const wrong = el("p", { class: "hint", role: "alert" });
  const dialog = el(
    "dialog",
    { class: "more", "aria-labelledby": "schema-title" },
    el(
      "form",
      { method: "dialog" },
      el("h2", { id: "schema-title" }, say("schema")),
      el("div", { class: "field" }, el("label", { for: "schema-text" }, say("schema_hint")), box),
      wrong,
      el(
        "div",
        { class: "actions" },
        button(say("reset"), () => (box.value = text(usual)), { class: "quiet" }),
        button(say("cancel"), () => dialog.close(), { class: "quiet" }),
        el("button", { class: "main", value: "ask" }, say("ask")),
      ),
    ),
  );
  return new Promise((resolve) => {
    dialog.querySelector("form")?.addEventListener("submit", (event) => {
      if (parsed(box.value)) return keep(KEPT, box.value);
      event.preventDefault();
      put(wrong, say("schema_wrong"));
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "ask" ? parsed(box.value) : null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** @param {string} text @returns {object | null} null: it is not an object of JSON */
function parsed(text) {
  try {
    const found = JSON.parse(text);
    return found && typeof found === "object" && !Array.isArray(found) ? found : null;
  } catch {
    return null;
  }
}
