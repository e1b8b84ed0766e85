/**
 * Where the next question is written. It is never locked: a second question waits below
 * the first.
 */

/** @import { Asked, Draft, Message, PictureRef } from "./records.js" */
/** @import { Task } from "./ready_task.js" */
/** @import { Options } from "./request.js" */
/** @import { Service } from "./service.js" */
import { groups, without } from "./clips.js";
import { button, el, icon, isComposing, put } from "./dom.js";
import { options } from "./options.js";
import { total } from "./service.js";
import { openSchema } from "./schema.js";
import { promptOf, settingsOf } from "./ready_task.js";
import { TaskLine } from "./task_line.js";
import { about, language, languageName, say } from "./words.js";

const MOST_HEIGHT_PX = 200;
/** @type {{text: string, pictures: PictureRef[]}} */
const NOTHING = { text: "", pictures: [] };

/**
 * @typedef {object} ComposerActions
 * @property {(text: string, pictures: PictureRef[], settings?: Options, task?: Asked, edited?: Message | null) => void} ask
 * @property {() => void} choose
 * @property {() => void} more
 * @property {(edited: Message | null) => PictureRef[]} earlier pictures of the conversation, before a question that is edited
 * @property {() => void} draft it has changed
 * @property {() => void} show its pictures, which have changed
 */

export class Composer {
  #service;
  #actions;
  /** @type {PictureRef[]} */
  #pictures = [];
  /** The question that the next one replaces. @type {Message | null} */
  edited = null;
  /** What was being written when the person began to edit it. */
  #before = NOTHING;
  /** Files that are being read for the draft, which `write` replaces by another one. */
  #reading = { n: 0 };
  /** What is done as soon as they are. @type {(() => void) | null} */
  #next = null;
  #box;
  #price = el("span", { class: "price" });
  #hint = el("p", { class: "hint", role: "alert" });
  #editing = el("p", { class: "editing", hidden: true });
  #taskLine = new TaskLine((task, name) => this.#task(task, name));
  #perPage = el("input", { type: "checkbox", onchange: () => this.update() });
  #perPageChoice = el("label", { class: "per-page" }, this.#perPage, say("per_page"));
  #send;

  /** @param {HTMLElement} host @param {Service} service @param {ComposerActions} actions */
  constructor(host, service, actions) {
    this.#service = service;
    this.#actions = actions;
    this.#box = el("textarea", { rows: 1, dir: "auto", "aria-label": say("your_question"), enterkeyhint: "send", oninput: () => this.#typed() });
    this.#box.addEventListener("keydown", (event) => {
      const isSent = event.key === "Enter" && !event.shiftKey;
      const isLeft = event.key === "Escape" && this.edited;
      if ((!isSent && !isLeft) || isComposing(event)) return;
      event.preventDefault();
      if (isSent) this.#submit();
      else this.#goBack();
    });
    this.#send = el("button", { class: "main send" }, this.#price, icon("send"));
    host.append(
      this.#taskLine.root,
      this.#perPageChoice,
      this.#hint,
      this.#editing,
      el(
        "form",
        { class: "box", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), this.#submit()) },
        el(
          "div",
          { class: "line" },
          button(say("add_picture"), actions.choose, { icon: "add", iconOnly: true, class: "plain round" }),
          this.#box,
          button(say("more"), actions.more, { icon: "settings", iconOnly: true, class: "plain round" }),
          this.#send,
        ),
      ),
    );
    service.watch(() => this.update());
    this.update();
  }

  focus() {
    this.#box.focus();
  }

  /** The pictures of the question that is being written. */
  get pictures() {
    return this.#pictures;
  }

  /** Whether there are more pictures than one question may have. */
  get #isLong() {
    return groups(this.#pictures).length > this.#service.limits.pictures;
  }

  /** Whether each picture gets an answer of its own. */
  get #isPerPage() {
    return groups(this.#pictures).length > 1 && (this.#perPage.checked || this.#isLong);
  }

  get text() {
    return this.#box.value;
  }

  /** What is being written, to be kept. @returns {Draft} */
  get draft() {
    const edits = this.edited && { edits: this.edited.id, before: this.#before };
    return { text: this.text, pictures: this.#pictures, ...edits };
  }

  /**
   * @param {string} text
   * @param {PictureRef[]} pictures
   * @param {Message | null} [edited] the question whose place it takes
   * @param {{text: string, pictures: PictureRef[]}} [before] what is written again after that
   */
  write(text, pictures, edited = null, before = NOTHING) {
    this.say("");
    this.edited = edited;
    this.#before = before;
    this.#reading = { n: 0 };
    this.#next = null;
    this.#perPage.checked = false;
    this.#editing.hidden = !edited;
    const name = edited?.task?.name;
    put(this.#editing, el("span", {}, say("editing"), name && el("b", {}, ` ${name}`)), button(say("cancel"), () => this.#goBack(), { class: "plain" }));
    this.#box.value = text;
    this.#have(pictures);
  }

  /** Lets the person change a question; of a ready task the own words. @param {Message} question */
  edit(question) {
    const before = this.edited ? this.#before : { text: this.text, pictures: this.#pictures };
    this.write(question.task?.words ?? question.text, question.pictures, question, before);
    this.focus();
  }

  /** To what was being written before. */
  #goBack() {
    this.write(this.#before.text, this.#before.pictures);
  }

  /**
   * Files are read for what is being written now, which waits for them.
   * @param {(isWanted: () => boolean, isAsked: () => boolean) => Promise<boolean>} read whether all
   *   could be read that the question was asked with; nothing is wanted any longer once something
   *   else is written
   */
  async read(read) {
    const reading = this.#reading;
    reading.n += 1;
    const areRead = await read(() => reading === this.#reading, () => this.#next !== null).finally(() => (reading.n -= 1));
    if (reading !== this.#reading) return;
    if (areRead && reading.n) return; // others are still being read
    const next = this.#next;
    this.#next = null;
    if (areRead) next?.();
  }

  /** Does something with the question, once its files are read. @param {() => void} act */
  #whenRead(act) {
    if (!this.#reading.n) return act();
    this.#next = act;
    this.say(say("reading_first"));
  }

  /** @param {PictureRef[]} pictures */
  add(pictures) {
    this.#have([...this.#pictures, ...pictures]);
  }

  /** Takes a picture away, and with a frame its video. @param {number} index */
  remove(index) {
    this.#have(without(this.#pictures, index));
  }

  /** Puts `next` in the place of a picture, unless that was taken away. @param {PictureRef} old @param {PictureRef} next */
  replace(old, next) {
    if (this.#pictures.includes(old)) this.#have(this.#pictures.map((one) => (one === old ? next : one)));
  }

  /** @param {PictureRef[]} pictures */
  #have(pictures) {
    this.#pictures = pictures;
    this.#changed();
    this.#actions.show();
  }

  /** Says why something cannot be done, until the person goes on. @param {string} text */
  say(text) {
    put(this.#hint, text);
  }

  #typed() {
    if (this.#next || !this.#reading.n) this.say(""); // it no longer goes by itself
    this.#next = null;
    this.#changed();
  }

  #changed() {
    this.#box.style.height = "auto";
    this.#box.style.height = `${Math.min(this.#box.scrollHeight, MOST_HEIGHT_PX)}px`;
    this.update();
    this.#actions.draft();
  }

  /** The price, and the tasks that are possible now. */
  update() {
    const all = [...this.#actions.earlier(this.edited), ...this.#pictures];
    const has = all.length > 0;
    this.#box.placeholder = say(has ? "placeholder_next" : "placeholder_first");
    const seconds = this.#seconds(all, options());
    this.#perPageChoice.hidden = groups(this.#pictures).length < 2;
    this.#perPage.disabled = this.#isLong;
    if (this.#isLong) this.#perPage.checked = true;
    const isReady = this.#service.state === "ready" && (has || this.#box.value.trim());
    const price = isReady ? say("about", { time: about(seconds) }) : "";
    put(this.#price, price);
    this.#send.setAttribute("aria-label", `${say("ask")} ${price}`.trim());
    const secondsOf = (/** @type {Task} */ task) => this.#seconds(all, settingsOf(task, options()));
    this.#taskLine.show(this.#service.tasks, groups(all).length, secondsOf);
  }

  /** @param {PictureRef[]} pictures @param {Options} settings */
  #seconds(pictures, settings) {
    const questions = this.#isPerPage ? groups(this.#pictures) : [pictures];
    const price = (/** @type {PictureRef[]} */ some) => total(this.#service.priceOf(some, this.#box.value.length, settings));
    return questions.reduce((sum, some) => sum + price(some), 0);
  }

  /** @param {Task} task @param {string} name */
  #task(task, name) {
    this.#whenRead(() => void this.#askTask(task, name));
  }

  /** @param {Task} task @param {string} name */
  async #askTask(task, name) {
    const { edited } = this;
    const schema = task.schema && (await openSchema(task.schema));
    if ((task.schema && !schema) || edited !== this.edited) return;
    const words = this.#box.value.trim();
    const prompt = promptOf(task, words, { tag: language(), name: languageName() });
    this.#ask(prompt, settingsOf({ ...task, schema }, options()), { id: task.id, name, words });
  }

  #submit() {
    const text = this.#box.value.trim();
    const { task: asked } = this.edited ?? {};
    const task = asked && this.#service.tasks.find(({ id }) => id === asked.id);
    if (task) return this.#task(task, asked.name);
    this.#whenRead(() => this.#askText(text));
  }

  /** @param {string} text */
  #askText(text) {
    if (!text && !this.#pictures.length) return this.say(say("write_first"));
    const { text_characters } = this.#service.limits;
    if (text.length > text_characters) return this.say(say("too_long", { n: text_characters }));
    this.#ask(text);
  }

  /** @param {string} text @param {Options} [settings] @param {Asked} [task] */
  #ask(text, settings = options(), task = undefined) {
    const [pictures, edited] = [this.#pictures, this.edited];
    const perPage = this.#isPerPage ? { per_page: true } : {};
    this.#goBack();
    this.#actions.ask(text, pictures, { ...settings, ...perPage }, task, edited);
  }
}
