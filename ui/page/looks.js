/** Light or dark, as the system says or as the person chose. */

import { keep, kept } from "./keeping.js";

const KEPT = "edge.look";
const LOOKS = /** @type {const} */ (["system", "light", "dark"]);

/** @typedef {typeof LOOKS[number]} Look */

/** @returns {Look} */
export function look() {
  const chosen = kept(KEPT);
  return LOOKS.find((one) => one === chosen) ?? "system";
}

/** Shows what was chosen before. */
export function applyLook() {
  const isDark =
    look() === "dark" || (look() === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.look = isDark ? "dark" : "light";
  document
    .querySelector("meta[name=theme-color]")
    ?.setAttribute("content", isDark ? "#101413" : "#faf9f6");
}

/** Dark becomes light, light becomes dark. */
export function switchLook() {
  const isDark = document.documentElement.dataset.look === "dark";
  keep(KEPT, isDark ? "light" : "dark");
  applyLook();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyLook);
