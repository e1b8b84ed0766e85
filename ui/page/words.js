/** The page's texts, in the language that the person or else the browser chose. */

import { keep, kept } from "./keeping.js";

const KEPT = "edge.language";

/** Each has a file `words/TAG.json`; its name is in its own language. */
export const LANGUAGES = /** @type {const} */ ([
  ["en", "English"],
  ["de", "Deutsch"],
  ["es", "Español"],
  ["fr", "Français"],
  ["ja", "日本語"],
  ["zh-CN", "简体中文"],
  ["zh-HK", "繁體中文（香港）"],
  ["zh-TW", "繁體中文（台灣）"],
]);
/** Beginnings of tags that mean one of these. */
const SAME = { "zh-hans": "zh-CN", "zh-sg": "zh-CN", "zh-hant-hk": "zh-HK", "zh-hant-mo": "zh-HK", "zh-hant": "zh-TW", "zh-mo": "zh-HK" };

/** @type {Record<string, string>} */
let texts = {};
let chosen = "en";

/** The tag of the language in use. */
export const language = () => chosen;

/** Its own name. */
export const languageName = () => LANGUAGES.find(([tag]) => tag === chosen)?.[1] ?? "English";

/** Loads the texts; `say` works from then on. The document has to be marked with the language. */
export async function loadWords() {
  const here = new URLSearchParams(location.search).get("language");
  chosen = languageFor([here ?? kept(KEPT) ?? "", ...navigator.languages]);
  texts = await load(new URL(`words/${chosen}.json`, import.meta.url));
}

/** There is no page without its words. @param {URL} url @param {number} [tries] @returns {Promise<Record<string, string>>} */
async function load(url, tries = 5) {
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Error(String(response.status));
    return await response.json();
  } catch (error) {
    if (tries === 1) throw error;
    await new Promise((resolve) => setTimeout(resolve, 1000));
    return load(url, tries - 1);
  }
}

/**
 * The text of `key` with `values` in its {places}.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function say(key, values = {}) {
  const text = texts[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (place, name) => String(values[name] ?? place));
}

/**
 * Whether there is a text for `key`.
 * @param {string} key
 */
export const hasText = (key) => key in texts;

/**
 * Speaks another language from now on. The page loads again: nothing on it is lost where
 * the browser keeps anything. Where it does not, the address says the language.
 * @param {string} tag
 */
export function speak(tag) {
  const search = keep(KEPT, tag) ? "" : `?language=${tag}`;
  history.replaceState(null, "", location.pathname + search + location.hash);
  location.reload();
}

/**
 * The first tag for which there is a file; "en" if there is none.
 * @param {readonly string[]} tags
 */
export function languageFor(tags) {
  for (const tag of tags.map((one) => one.toLowerCase())) {
    const [base] = tag.split("-");
    const same = Object.entries(SAME).find(([start]) => tag.startsWith(start));
    const exact = LANGUAGES.find(([one]) => one.toLowerCase() === tag);
    if (exact || same) return exact?.[0] ?? same?.[1] ?? "en";
    const near = LANGUAGES.find(([one]) => one.split("-")[0] === base);
    if (near) return near[0];
  }
  return "en";
}

/**
 * Seconds as people say them: an estimate has no exact seconds.
 * @param {number} seconds
 */
export function about(seconds) {
  if (seconds < 10) return say("seconds", { n: Math.max(1, Math.round(seconds)) });
  if (seconds < 90) return say("seconds", { n: 5 * Math.round(seconds / 5) });
  if (seconds < 5400) return say("minutes", { n: Math.round(seconds / 60) });
  return say("hours", { n: Math.round(seconds / 3600) });
}

/**
 * Measured seconds.
 * @param {number} seconds
 */
export function exact(seconds) {
  return say("seconds", { n: number(seconds) });
}

/** A measured number, with one decimal where that says something. @param {number} value */
export function number(value) {
  const n = value < 9.95 ? value.toFixed(1) : String(Math.round(value));
  return ["de", "es", "fr"].includes(chosen) ? n.replace(".", ",") : n;
}

/** Words, or characters where there are no spaces between words. @param {string} text */
export function countWords(text) {
  const wide = text.match(/[\u3040-\u30ff\u3400-\u9fff]/g)?.length ?? 0;
  return wide || text.split(/\s+/).filter(Boolean).length;
}
