/** Settings of the next questions; they stay in this browser. */

/** @import { Options } from "./request.js" */

const KEPT = "edge.options";

/** @returns {Options} as they were set */
export function options() {
  try {
    return JSON.parse(localStorage.getItem(KEPT) ?? "{}");
  } catch {
    return {}; // private mode
  }
}

/** @param {Options} changes undefined removes one */
export function keepOptions(changes) {
  try {
    localStorage.setItem(KEPT, JSON.stringify({ ...options(), ...changes }));
  } catch {
    // private mode: nothing is kept
  }
}

/** All as they are at first. */
export function forget() {
  keepOptions({ detail: undefined, max_tokens: undefined, temperature: undefined, system: undefined });
}
