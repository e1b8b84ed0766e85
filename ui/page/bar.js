/** The bar above everything: name, model, state of the server, language and looks. */

/** @import { Service } from "./service.js" */
import { button, el, icon, put, tell } from "./dom.js";
import { sentence } from "./failures.js";
import { switchLook } from "./looks.js";
import { total } from "./service.js";
import { about, language, LANGUAGES, say, speak } from "./words.js";

/** A picture of common size, and a short question. */
const USUAL = { width: 1024, height: 768, tokens: 30 };

export class Bar {
  #service;
  #model = el("span", { class: "model" });
  #pill = el("span", { class: "pill" });
  #notice = el("p", { class: "notice", role: "status", hidden: true });
  #account = el("a", { href: "login", class: "account", hidden: true });
  #server;

  /**
   * @param {HTMLElement} host
   * @param {Service} service
   * @param {object} actions
   * @param {() => void} actions.history
   * @param {() => void} actions.server
   */
  constructor(host, service, { history, server }) {
    this.#service = service;
    this.#server = button(say("this_server"), server, { icon: "chart", class: "plain server-button" });
    const choices = LANGUAGES.map(([tag, name]) => el("option", { value: tag, selected: tag === language(), lang: tag }, name));
    const languages = el("select", { class: "plain", "aria-label": say("language"), onchange: () => speak(languages.value) }, ...choices);
    host.append(
      el(
        "div",
        { class: "bar-line" },
        button(say("history"), history, { icon: "menu", iconOnly: true, class: "plain round menu", "aria-expanded": "false", "aria-controls": "history" }),
        el("h1", {}, "Edge-VL"),
        this.#model,
        this.#pill,
        el("span", { class: "gap" }),
        this.#server,
        el("span", { class: "languages" }, icon("globe"), languages),
        this.#account,
        button(say("look"), switchLook, { icon: "light", iconOnly: true, class: "plain round" }),
      ),
      this.#notice,
    );
    service.watch(() => this.show());
    this.show();
  }

  /** @param {boolean} isServer whether the tab of the server is open */
  mark(isServer) {
    this.#server.setAttribute("aria-pressed", String(isServer));
  }

  show() {
    const { state, status, model } = this.#service;
    put(this.#model, model);
    this.#account.hidden = !status.key;
    put(this.#account, status.key ?? "");
    this.#account.setAttribute("aria-label", say("login_as", { name: status.key ?? "" }));
    const [kind, text, short] = this.#state();
    this.#pill.className = `pill ${kind}`;
    put(this.#pill, el("i"), el("span", { class: "long" }, text), el("span", { class: "short" }, short));
    const isTiny = state === "ready" && /^tiny(-|$)/.test(model);
    const failure = typeof state === "object" ? state : null;
    this.#notice.hidden = !isTiny && !failure;
    tell(this.#notice, failure ? sentence(failure) : isTiny ? say("tiny") : "");
    this.#server.hidden = !status.models && !failure;
  }

  /** @returns {[string, string, string]} a class, a text, and one for phones */
  #state() {
    const { state, status } = this.#service;
    if (state === "unknown") return ["", say("state_unknown"), ""];
    const { running, waiting, slots } = status;
    if (state !== "ready") {
      const text = say(state.code === "no_worker" ? "state_loading" : "state_away");
      return ["bad", text, text];
    }
    if (waiting) return ["busy", say("state_busy", { running, waiting }), `${running} + ${waiting}`];
    if (running && running >= slots) return ["busy", say("state_full", { running }), String(running)];
    const tokens = this.#service.imageTokens(USUAL.width, USUAL.height);
    const time = about(total(this.#service.price([tokens], USUAL.tokens)));
    return ["free", say("state_free", { time }), say("about", { time })];
  }
}
