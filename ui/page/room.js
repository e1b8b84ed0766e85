/** The open conversation: stage, turns, and what a person does with them. Loaded when it is first needed. */

/** @import { Composer } from "./composer.js" */
/** @import { OpenConversation } from "./conversation.js" */
/** @import { Remedy } from "./failures.js" */
/** @import { Rect } from "./raster.js" */
/** @import { Asked, Job, Message, PictureRef } from "./records.js" */
/** @import { Detail, Options } from "./request.js" */
/** @import { Service } from "./service.js" */
/** @import { Store } from "./store.js" */
/** @import { Item } from "./strip.js" */
/** @import { Example } from "./tasks.js" */
import { Asking } from "./asking.js";
import { isAwaited, isRunning } from "./conversation.js";
import { isComposing, mount } from "./dom.js";
import { options } from "./options.js";
import { saveMarks } from "./save_marks.js";
import { total } from "./service.js";
import { Stage } from "./stage.js";
import { Taking } from "./taking.js";
import { Talk } from "./talk.js";
import { fileOf } from "./tasks.js";
import { Title } from "./title.js";
import { about, say } from "./words.js";

/** "Sooner" is offered from here on. */
const WORTH_S = 3;

export class Room {
  #store;
  #service;
  #asking;
  #conversation;
  #talk;
  #composer;
  #taking;
  #stage;
  /** The answers whose marks are pointed at, or were asked for. @type {Message | null} */
  #pointed = null;
  /** @type {Message | null} */
  #found = null;
  /** Whether the latest question could not be kept. */
  #isFull = false;

  /**
   * @param {Store} store
   * @param {Service} service
   * @param {OpenConversation} conversation
   * @param {Composer} composer
   * @param {() => void} choose opens the dialog for pictures
   */
  constructor(store, service, conversation, composer, choose) {
    this.#store = store;
    this.#service = service;
    this.#conversation = conversation;
    this.#composer = composer;
    this.#asking = new Asking(store, service);
    this.#taking = new Taking(service, store, composer);
    const title = new Title(this.#asking);
    this.#stage = new Stage(mount("stage"), {
      say,
      pictures: store.pictures,
      onAdd: choose,
      onRemove: (index) => composer.remove(index - this.#earlier.length),
      onOriginal: (index, isOriginal) => void this.#resend(index, isOriginal),
      onPart: (file, part, ref) => void this.#addPart(file, part, ref),
      onPoint: (id) => this.#talk.light(this.#marked?.id ?? conversation.row.leaf, id),
    });
    this.#talk = new Talk(mount("talk"), conversation, this.#asking, {
      stop: (message) => this.#stop(message),
      again: (message) => void this.#run(conversation.again(message, this.#again(message))),
      goOn: (message) => void this.#run(conversation.ask(say("ask_go_on"), [], options(), message.id)),
      edit: (message) => composer.edit(message),
      smaller: (message) => void this.#smaller(message),
      part: (message) => this.#stage.openCrop((file, part, ref) => void this.#askPart(message, file, part, ref)),
      tell: Title.canTell ? () => void title.tell() : null,
      remedy: (message, remedy) => void this.#remedy(message, remedy),
      show: (message) => void conversation.show(message),
      look: (picture) => this.#look(picture),
      picture: (picture) => store.pictures.read(picture.sha256),
      light: (message, id) => this.#light(message, id),
      find: (message, id) => {
        this.#found = message;
        this.#stage.mark(this.#marks);
        void this.#stage.find(id);
      },
      saveMarks: (message, kind) => void saveMarks(kind, message.marks ?? [], conversation.pictures, store.pictures),
      smallerLabel: (message) => this.#smallerLabel(message),
    });
    conversation.watch(() => this.show());
    this.#asking.watch((message) => this.#showProgress(message));
    addEventListener("keydown", (event) => this.#key(event));
    this.show();
    this.#talk.show();
    void this.#asking.takeOver();
  }

  /** Shows pictures of the conversation and of the question that is being written. */
  show() {
    void this.#stage.show(this.#items()).then(() => this.#stage.mark(this.#marks));
  }

  /** The answer whose marks a person points at, or has asked for. */
  get #marked() {
    return this.#pointed ?? this.#found;
  }

  /** Else those of the last answer, unless another question is being written about a picture. */
  get #marks() {
    if (this.#marked && this.#conversation.path.some(({ id }) => id === this.#marked?.id)) return this.#marked.marks ?? [];
    const last = this.#conversation.path.at(-1);
    return this.#composer.pictures.length || isRunning(last) ? [] : (last?.marks ?? []);
  }

  /** Shows a picture of the conversation, if it is among those on the stage. @param {PictureRef} picture */
  #look({ sha256 }) {
    const items = this.#items();
    const index = items.findIndex(({ ref }) => ref.sha256 === sha256);
    if (index >= 0) void this.#stage.show(items, index);
  }

  /** Stops an answer; the focus was on a button that is gone now. @param {Message} message */
  #stop(message) {
    void this.#asking.stop(message);
    if (!matchMedia("(pointer: coarse)").matches) this.#composer.focus(); // there it opens the keyboard
  }

  /** Lights a mark of an answer, which need not be the last one. @param {Message} message @param {string | null} id */
  #light(message, id) {
    this.#pointed = id === null ? null : message;
    this.#stage.mark(this.#marks);
    this.#stage.light(id);
  }

  /** Shows the end of the conversation. */
  toEnd() {
    this.#talk.toEnd();
  }

  /** @returns {Item[]} */
  #items() {
    const draft = this.#composer.pictures.map((ref) => ({ ref, isDraft: true, isOriginal: !ref.original && this.#service.isLarger(ref) }));
    return [...this.#earlier.map((ref) => ({ ref, isDraft: false })), ...draft];
  }

  /** Pictures before the question that is being written. */
  get #earlier() {
    return this.#conversation.picturesBefore(this.#composer.edited);
  }

  /**
   * @param {string} text
   * @param {PictureRef[]} pictures
   * @param {Options} [settings]
   * @param {Asked} [task]
   * @param {Message | null} [edited] whose place it takes
   * @param {() => void} [giveBack] see `#run`
   */
  async ask(text, pictures, settings = options(), task = undefined, edited = null, giveBack = undefined) {
    const parent = edited ? edited.parent : undefined;
    const refused = this.#conversation.messages.filter((one) => edited && one.parent === edited.id && one.again);
    const making = async () => {
      for (const one of refused) await this.#asking.stop(one); // it is asked in other words
      return this.#conversation.ask(text, pictures, settings, parent, task);
    };
    await this.#run(making(), giveBack);
  }

  /**
   * Follows a job; its conversation has an address from now on.
   * @param {Promise<Job>} making
   * @param {() => void} [giveBack] what a person wrote, if this browser cannot keep it
   */
  async #run(making, giveBack = () => {}) {
    const { id } = this.#conversation.row;
    if (location.hash !== `#${id}` && location.hash !== "#server") history.replaceState(null, "", `#${id}`);
    dispatchEvent(new Event("conversation"));
    this.#found = null;
    this.#talk.toEnd();
    const job = await making.catch(reportError);
    if (!job) giveBack();
    if (!job || this.#isFull) this.#composer.say(job ? "" : say("storage_full"));
    this.#isFull = !job;
    if (job) await this.#asking.start(job);
  }

  /** @param {Message} message @returns {Options} for another answer than this one */
  #again({ settings }) {
    return { ...settings, ...options(), ...this.#service.sampling, seed: Math.floor(Math.random() * 2 ** 31) };
  }

  /** See `Taking.take`. @param {File[]} files @param {() => boolean} isWanted @param {() => boolean} isAsked */
  take(files, isWanted, isAsked) {
    return this.#taking.take(files, isWanted, isAsked);
  }

  /** @param {number} index @param {boolean} isOriginal */
  async #resend(index, isOriginal) {
    const ref = this.#composer.pictures[index - this.#earlier.length];
    if (!ref) return;
    await this.#composer.read(async (isWanted) => {
      const file = await this.#store.pictures.readLargest(ref);
      const next = file && (await this.#taking.prepare(new File([file], ref.name, { type: file.type }), { isOriginal }));
      if (next && isWanted()) this.#composer.replace(ref, next);
      if (isWanted()) this.#look(next ?? ref);
      return Boolean(next);
    });
  }

  /** @param {Blob} file @param {Rect} part @param {PictureRef} ref of the whole */
  #preparePart(file, part, ref) {
    return this.#taking.prepare(new File([file], say("part_of", { name: ref.name }), { type: file.type }), { part });
  }

  /** Adds a part of a picture to the question that is being written. @param {Blob} file @param {Rect} part @param {PictureRef} ref */
  async #addPart(file, part, ref) {
    await this.#composer.read(async (isWanted) => {
      const added = await this.#preparePart(file, part, ref);
      if (added && isWanted()) this.#composer.add([added]);
      return added !== null;
    });
    this.#composer.focus();
  }

  /** Asks about a part in place of a running question's picture. @param {Message} answer @param {Blob} file @param {Rect} part @param {PictureRef} ref */
  async #askPart(answer, file, part, ref) {
    const added = await this.#preparePart(file, part, ref);
    const { messages } = this.#conversation;
    const question = messages.find(({ id }) => id === answer.parent);
    if (!added || !question) return;
    if (isAwaited(messages.find(({ id }) => id === answer.id))) await this.#asking.stop(answer);
    if (this.#conversation.row.id !== answer.conversation) return; // another one was opened meanwhile
    await this.#run(this.#conversation.ask(question.text, [added], answer.settings ?? {}, question.parent, question.task));
  }

  /** @param {Example} example */
  async try(example) {
    const added = await this.#taking.prepare(await fileOf(example));
    if (added) await this.ask(say(`ask_example_${example.name}`), [added]);
  }

  /** @param {Message} message @returns {string} empty: it would not help */
  #smallerLabel(message) {
    const { path } = this.#conversation;
    const at = path.findIndex(({ id }) => id === message.id);
    const job = message.settings ?? {};
    const pictures = path.slice(0, at).flatMap((one) => one.pictures);
    if (!pictures.length || job.detail === "low") return "";
    const price = (/** @type {Detail} */ detail) => total(this.#service.priceOf(pictures, path[at - 1]?.text.length ?? 0, { ...job, detail }));
    const less = price("low");
    return price(job.detail ?? "auto") - less > WORTH_S ? say("sooner", { time: about(less) }) : "";
  }

  /** @param {Message} message */
  async #smaller(message) {
    await this.#asking.stop(message);
    await this.#run(this.#conversation.retry(message, { ...message.settings, detail: "low" }));
  }

  /** @param {Message} message @param {Remedy} remedy */
  async #remedy(message, remedy) {
    const question = this.#conversation.messages.find(({ id }) => id === message.parent);
    const before = message.settings ?? {};
    switch (remedy) {
      case "wait":
        if (this.#asking.hurry(message)) return;
      // fall through
      case "again":
        if (await this.#asking.resume(message)) return;
        return this.#run(this.#conversation.retry(message, before));
      case "without":
        return this.#run(this.#conversation.retry(message, { ...before, without: await this.#gone() }));
      case "new":
        location.hash = "";
        return;
      case "login":
        location.href = "login";
        return;
      case "choose":
      case "edit":
        if (question) this.#composer.edit(question);
    }
  }

  /** Digests of the pictures that this browser no longer has. */
  async #gone() {
    const digests = this.#conversation.pictures.map(({ sha256 }) => sha256);
    const files = await Promise.all(digests.map((digest) => this.#store.pictures.read(digest)));
    return digests.filter((_, n) => !files[n]);
  }

  /** Lights the cells of the picture that is being read. @param {string} id */
  #showProgress(id) {
    const running = this.#asking.running(id);
    const question = this.#conversation.path.at(-2);
    const picture = question?.pictures[0];
    if (this.#conversation.row.leaf !== id || !picture) return;
    const isReading = running?.progress.stage === "encode" && running.progress.seen > 0;
    this.#stage.progress(isReading ? { sha256: picture.sha256, share: running.progress.seen } : null);
  }

  /** Escape stops the answer that is shown. @param {KeyboardEvent} event */
  #key(event) {
    const last = this.#conversation.path.at(-1);
    if (event.key !== "Escape" || event.defaultPrevented || isComposing(event) || !isAwaited(last)) return;
    if (!document.querySelector("dialog[open]")) void this.#asking.stop(/** @type {Message} */ (last));
  }
}
