/** "This server": what it does now, how fast it is, and how a program asks it. */

/** @import { Service } from "./service.js" */
import { copy } from "./clipboard.js";
import { button, el, put, set, tell } from "./dom.js";
import { sentence } from "./failures.js";
import { exact, number, say } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {HTMLElement} host
 * @param {Service} service
 * @param {() => string} question the person's own, for the examples
 * @param {() => void} leave goes back to the conversation
 * @returns {{show: () => void}} shows the newest
 */
export function createServer(host, service, question, leave) {
  const away = el("p", { role: "status" });
  const numbers = el("dl", { class: "numbers" });
  const stages = el("div");
  const curve = el("div");
  const about = el("dl", { class: "facts" });
  const curl = el("pre", { tabindex: 0 });
  const python = el("pre", { tabindex: 0 });
  host.append(
    el("header", {}, el("h2", {}, say("this_server")), button(say("close"), leave, { icon: "close", iconOnly: true, class: "plain round" })),
    away,
    numbers,
    el("h3", {}, say("last_hour")),
    stages,
    el("h3", {}, say("curve")),
    curve,
    el("h3", {}, say("about_server")),
    about,
    el("h3", {}, say("api")),
    el("p", {}, say("api_hint")),
    ...[curl, python].map((pre) => el("div", { class: "code" }, pre, button(say("copy"), () => void copy(pre.textContent ?? ""), { class: "quiet" }))),
  );

  const show = () => {
    const { state, status } = service;
    host.classList.toggle("is-away", !status.models);
    if (!status.models) return tell(away, typeof state === "object" ? sentence(state) : say("state_unknown"));
    tell(away, "");
    put(
      numbers,
      fact(say("busy_slots"), `${status.running} / ${status.slots}`),
      fact(say("waiting"), `${status.waiting} / ${status.backlog}`),
      fact(say("tokens_per_second_name"), service.pace.answer_s ? number(1 / service.pace.answer_s) : "–"),
    );
    put(stages, latency(status.latency ?? {}));
    const { levels = [], models = [] } = status.bench ?? {};
    const isOfThis = models.some((/** @type {string} */ name) => service.models.includes(name));
    put(curve, levels.length && isOfThis ? chart(status.bench) : el("p", {}, say("no_curve"), " ", el("code", {}, "edge bench")));
    const [model = {}] = status.models;
    const facts = { model: model.id, vision: model.vision, runtime: model.runtime, version: status.version, ...status.caches };
    put(about, ...Object.entries(facts).map(([name, value]) => fact(say(`fact_${name}`), String(value ?? "–"))));
    const key = status.key ? "YOUR-KEY" : "";
    put(curl, curlExample(service.model, question(), key));
    put(python, pythonExample(service.model, question(), key));
  };
  service.watch(show);
  return { show };
}

/** @param {string} name @param {string} value */
const fact = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));

/** @param {Record<string, {p50_s: number, p95_s: number, n: number}>} found by stage */
function latency(found) {
  const rows = Object.entries(found).filter(([, { n }]) => n > 0);
  if (!rows.length) return el("p", {}, say("no_answers_yet"));
  return el(
    "table",
    {},
    el("thead", {}, el("tr", {}, ...["stage", "half_below", "most_below"].map((key) => el("th", { scope: "col" }, say(key))))),
    el("tbody", {}, ...rows.map(([stage, { p50_s, p95_s }]) => el("tr", {}, el("th", { scope: "row" }, say(`stage_${stage}`)), el("td", {}, exact(p50_s)), el("td", {}, exact(p95_s))))),
  );
}

/**
 * Answers a minute by questions at the same time.
 * @param {{levels: {concurrency: number, answers_per_s: number}[], machine?: string}} bench
 */
function chart({ levels, machine }) {
  const most = Math.max(...levels.map(({ answers_per_s }) => answers_per_s));
  const svg = document.createElementNS(SVG, "svg");
  set(svg, { viewBox: "0 0 400 180", class: "curve", role: "img", "aria-label": say("curve") });
  const width = 360 / levels.length;
  levels.forEach(({ concurrency, answers_per_s }, n) => {
    const height = (130 * answers_per_s) / most;
    const x = 20 + n * width;
    svg.append(
      shape("rect", { x: x + 6, y: 150 - height, width: width - 12, height, rx: 4 }),
      shape("text", { x: x + width / 2, y: 142 - height }, number(60 * answers_per_s)),
      shape("text", { x: x + width / 2, y: 170 }, String(concurrency)),
    );
  });
  return el("figure", {}, svg, el("figcaption", {}, say("curve_hint"), machine ? ` · ${machine}` : ""));
}

/** @param {string} tag @param {Record<string, unknown>} props @param {string} [text] */
function shape(tag, props, text = "") {
  const node = document.createElementNS(SVG, tag);
  set(node, props);
  node.textContent = text;
  return node;
}

const address = () => new URL("v1", document.baseURI).href;

/**
 * The body comes from a here-document: an argument may have 128 KiB, pictures have more.
 * @param {string} model @param {string} question @param {string} key empty: none is needed
 */
function curlExample(model, question, key) {
  const content = [{ type: "text", text: question }, { type: "image_url", image_url: { url: "data:image/jpeg;base64," } }];
  const body = JSON.stringify({ model, messages: [{ role: "user", content }] }, null, 1).replace(/[\\$`]/g, "\\$&");
  const headers = ["content-type: application/json", key && `authorization: Bearer ${key}`].filter(Boolean);
  return `curl ${address()}/chat/completions ${headers.map((one) => `-H '${one}'`).join(" ")} -d @- <<END
${body.replace(";base64,", ";base64,$(base64 < picture.jpg)")}
END`;
}

/** @param {string} model @param {string} question @param {string} key */
function pythonExample(model, question, key) {
  return `import base64, openai

client = openai.OpenAI(base_url="${address()}", api_key="${key || "none"}")
picture = base64.b64encode(open("picture.jpg", "rb").read()).decode()
answer = client.chat.completions.create(
    model=${JSON.stringify(model)},
    messages=[{"role": "user", "content": [
        {"type": "text", "text": ${JSON.stringify(question)}},
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{picture}"}},
    ]}],
)
print(answer.choices[0].message.content)`;
}
