/** The panel of the settings of the next questions. */

/** @import { Service } from "./service.js" */
import { button, el, put } from "./dom.js";
import { forget, keepOptions, options } from "./options.js";
import { total } from "./service.js";
import { about, say } from "./words.js";

const LENGTHS = { short: 64, medium: 256 };
const PHOTO_PX = 4096;

/**
 * The panel of the settings.
 * @param {Service} service
 * @param {() => void} onChange
 */
export function openMore(service, onChange) {
  const now = options();
  const details = /** @type {const} */ (["low", "auto", "high"]).map((detail) => {
    const tokens = service.imageTokens(PHOTO_PX, PHOTO_PX, detail);
    const time = about(total({ ...service.price([tokens], 30), queue: 0 }));
    return /** @type {const} */ ([detail, `${say(`detail_${detail}`)} · ${say("about", { time })}`]);
  });
  const lengths = [
    ["", say("length_auto")],
    ...Object.entries(LENGTHS).map(([name, n]) => [String(n), say(`length_${name}`)]),
  ];
  const system = el("textarea", { id: "more-system", rows: 3, maxlength: 4000 }, now.system ?? "");
  const heat = el("input", { id: "more-heat", type: "range", min: 0, max: 1.5, step: 0.1, value: now.temperature ?? 0 });
  const heatShown = el("output", { for: "more-heat" }, String(now.temperature ?? 0));
  heat.addEventListener("input", () => put(heatShown, heat.value));
  const dialog = el(
    "dialog",
    { class: "more", "aria-labelledby": "more-title" },
    el(
      "form",
      { method: "dialog" },
      el("h2", { id: "more-title" }, say("more")),
      service.models.length > 1 && field("more-model", say("model"), select("more-model", service.models.map((name) => [name, name]), service.model)),
      field("more-detail", say("detail"), select("more-detail", details, now.detail ?? "auto")),
      field("more-length", say("length"), select("more-length", lengths, String(now.max_tokens ?? ""))),
      field("more-heat", say("temperature"), heat, heatShown, el("small", {}, say("temperature_hint"))),
      field("more-system", say("system"), system, el("small", {}, say("system_hint"))),
      el("div", { class: "actions" }, button(say("reset"), reset, { class: "quiet" }), el("button", { class: "main" }, say("done"))),
    ),
  );

  function reset() {
    forget();
    dialog.remove();
    onChange();
  }

  dialog.addEventListener("close", async () => {
    /** @param {string} id */
    const value = (id) => /** @type {HTMLSelectElement | null} */ (dialog.querySelector(`#${id}`))?.value ?? "";
    keepOptions({
      // the first one is the default model, which may be another one later
      model: value("more-model") === service.models[0] ? undefined : value("more-model") || undefined,
      detail: value("more-detail") === "auto" ? undefined : /** @type {"low"} */ (value("more-detail")),
      max_tokens: Number(value("more-length")) || undefined,
      temperature: Number(heat.value) || undefined,
      system: system.value.trim() || undefined,
    });
    if (value("more-model")) await service.look();
    dialog.remove();
    onChange();
  });
  document.body.append(dialog);
  dialog.showModal();
}

/** @param {string} id @param {string} label @param {...Node} nodes */
const field = (id, label, ...nodes) => el("div", { class: "field" }, el("label", { for: id }, label), ...nodes);

/** @param {string} id @param {readonly (readonly string[])[]} choices @param {string} chosen */
const select = (id, choices, chosen) =>
  el("select", { id }, ...choices.map(([value, name]) => el("option", { value, selected: value === chosen }, name)));
