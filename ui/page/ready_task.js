/** Ready tasks, as the server lists them: their prompts and how their answers are computed. */

/** @import { Message } from "./records.js" */
/** @import { Options } from "./request.js" */

/**
 * An entry of `tasks` of `GET /v1/models/{id}`. `{words}` in its prompt are the person's,
 * else `words`. With `is_prose` the answer is in the language of the page.
 *
 * @typedef {object} Task
 * @property {string} id
 * @property {{en: string, zh: string}} prompt
 * @property {{en: string, zh: string} | null} words
 * @property {"low" | "auto" | "high"} detail
 * @property {number} max_tokens
 * @property {Record<string, number>} sampling
 * @property {boolean} is_prose
 * @property {number} pictures that it needs
 * @property {object | null} schema
 * @property {string} format of tasks that differ in it alone
 */

/**
 * @param {Task} task
 * @param {string} words the person's
 * @param {{tag: string, name: string}} language of the page, with its own name
 * @returns {string}
 */
export function promptOf(task, words, { tag, name }) {
  const base = tag.startsWith("zh") ? "zh" : "en";
  const own = task.id === "translate" ? name : task.words?.[base];
  const filled = task.prompt[base].replace("{words}", () => words || own || "");
  const prompt = task.words || !words ? filled : `${filled}\n${words}`;
  if (!task.is_prose || tag === "en" || tag === "zh-CN") return prompt;
  return base === "zh" ? `${prompt}请用${name}回答。` : `${prompt} Answer in ${name}.`;
}

/**
 * The settings of a task; what the person has set goes before.
 *
 * @param {Task} task
 * @param {Options} options the person's
 * @returns {Options}
 */
export function settingsOf({ id, detail, max_tokens, sampling, schema }, options) {
  const form = { type: "json_schema", json_schema: { name: id, schema } };
  return {
    detail,
    max_tokens,
    ...(options.temperature === undefined ? sampling : {}),
    ...(schema ? { response_format: form } : {}),
    ...options,
  };
}

/** What a person sees of a question: of a ready task its name and the own words. @param {Pick<Message, "text" | "task">} question */
export function shownOf({ text, task }) {
  return task ? [task.name, task.words].filter(Boolean).join(" · ") : text;
}
