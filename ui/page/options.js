/** Settings of the next questions; they stay in this browser. */

/** @import { Options } from "./request.js" */

import { ownName } from "./ids.js";
import { keep, kept } from "./keeping.js";

const KEPT = ownName("edge.options");

/** @returns {Options} as they were set */
export function options() {
  return JSON.parse(kept(KEPT) ?? "{}");
}

/** @param {Options} changes undefined removes one */
export function keepOptions(changes) {
  keep(KEPT, JSON.stringify({ ...options(), ...changes }));
}

/** All as they are at first. */
export function forget() {
  keepOptions({ model: undefined, detail: undefined, max_tokens: undefined, temperature: undefined, system: undefined });
}
