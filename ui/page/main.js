/**
 * Puts the page together, as soon as the shell stands: the bar, the composer and the
 * first page at once, everything else when it is first needed.
 */

/** @import { History } from "./history.js" */
/** @import { Room } from "./room.js" */
import { Bar } from "./bar.js";
import { Composer } from "./composer.js";
import { OpenConversation } from "./conversation.js";
import { el, isComposing, mount } from "./dom.js";
import { EmptyPage } from "./empty.js";
import { chooseFiles, watchIncoming } from "./incoming.js";
import { applyLook } from "./looks.js";
import { Service } from "./service.js";
import { openStore } from "./store.js";
import { language, loadWords, say } from "./words.js";

/** The mount points of ui/shell.py. */
const PLACES = ["bar", "history", "stage", "talk", "composer", "server"];

/** The first page waits so long for the server's state: a notice would move it. */
const FIRST_LOOK_MS = 1000;
/** A part that cannot be loaded from a new page either must not load it for ever. */
const RELOAD_MS = 60_000;
/** How long typing may pause before it is kept. */
const DRAFT_MS = 300;
/** Where the list of conversations lies over the rest; as in page.css. */
const narrow = matchMedia("(max-width: 1100px)");

applyLook();
const [store] = await Promise.all([openStore(), loadWords(), shell()]);
document.documentElement.lang = language(); // now: the shell marks it with the browser's
const service = new Service();
const conversation = new OpenConversation(store);

/** @type {Promise<Room> | undefined} */
let room;
/** @type {History | undefined} */
let list;
/** @type {{show: () => void} | undefined} */
let server;
let saving = 0;

/** @param {File[]} files */
const take = (files) =>
  void composer.read(
    (isWanted, isAsked) =>
      new Promise((resolve, reject) => {
        inRoom((room) => room.take(files, isWanted, isAsked).then(resolve, reject), () => resolve(false));
      }),
  );
const choose = () => chooseFiles(take);
const empty = new EmptyPage(service, {
  choose,
  photograph: () => chooseFiles(take, { isCamera: true }),
  ask: (example) => inRoom((room) => room.try(example)),
});
mount("talk").append(empty.node);
const composer = new Composer(mount("composer"), service, {
  ask: (text, pictures, settings, task, edited) => {
    const giveBack = () => {
      const isHere = conversation.messages.some(({ id }) => id === edited?.id);
      const before = { text: composer.text, pictures: composer.pictures };
      composer.write(task?.words ?? text, pictures, isHere ? edited : null, before);
    };
    inRoom((room) => room.ask(text, pictures, settings, task, edited, giveBack), giveBack);
  },
  choose,
  more: () => void load(import("./more.js"), ({ openMore }) => hasDialog() || openMore(service, () => composer.update())),
  earlier: (edited) => conversation.picturesBefore(edited),
  draft: () => {
    clearTimeout(saving);
    saving = setTimeout(() => void keepDraft(), DRAFT_MS);
    setView();
  },
  show: () => {
    if (room || composer.pictures.length) inRoom((room) => room.show());
  },
});
const bar = new Bar(mount("bar"), service, {
  history: switchHistory,
  server: () => (isServer() ? leaveServer() : (location.hash = "#server")),
});
mount("history").append(el("div", { class: "shade", onclick: closeHistory }));
conversation.watch(() => {
  setView();
  composer.update();
});
watchIncoming(take);
addEventListener("keydown", key);
addEventListener("hashchange", () => void go());
addEventListener("pagehide", () => void keepDraft());
if (!store.isKept) store.watch(() => addEventListener("beforeunload", ask));
await go();
const looking = service.start();
await Promise.race([looking, new Promise((resolve) => setTimeout(resolve, FIRST_LOOK_MS))]);
document.body.classList.add("is-ready");
await looking;
if ((await store.jobs()).length) inRoom(() => {}); // it goes on with them

/** Whether the page has not loaded itself again a moment ago; it does now. */
function mayReload() {
  try {
    const now = Date.now();
    if (now - Number(sessionStorage.getItem("edge.reload")) < RELOAD_MS) return false;
    sessionStorage.setItem("edge.reload", String(now));
    return true;
  } catch {
    return false; // blocked storage
  }
}

/**
 * Loads a part of the page. A server that was renewed no longer has this page's files;
 * the new page finds everything where it was.
 * @template T
 * @param {Promise<T>} loading
 * @param {(part: T) => void} use
 * @param {() => void} [giveBack] what a person did with it
 */
async function load(loading, use, giveBack) {
  const part = await loading.catch(() => null);
  if (part) return use(part);
  giveBack?.();
  await keepDraft();
  if ((await service.look().catch(() => false)) && mayReload()) location.reload();
  else composer.say(say("error_unreachable"));
}

/** Does something in the room, once it is loaded. @param {(room: Room) => unknown} act @param {() => void} [giveBack] */
function inRoom(act, giveBack) {
  room ??= import("./room.js").then(({ Room }) => new Room(store, service, conversation, composer, choose));
  room.catch(() => (room = undefined)); // the next one tries again
  void load(room, act, giveBack);
}

/** Goes where the address says: a conversation, the tab of the server, or a new one. */
async function go() {
  const name = location.hash.slice(1);
  bar.mark(isServer());
  document.body.dataset.tab = isServer() ? "server" : "chat";
  if (isServer()) return showServer();
  if (name && name === conversation.row.id) return;
  void saveDraft();
  const isKnown = name && (await conversation.open(name).catch(console.error)); // a browser may lose what it kept
  if (!isKnown) conversation.begin();
  if (!isKnown && name === location.hash.slice(1)) setAddress("");
  const { draft } = conversation.row;
  const edited = conversation.messages.find(({ id }) => id === draft?.edits);
  composer.write(draft?.text ?? "", draft?.pictures ?? [], edited, draft?.before);
  dispatchEvent(new Event("conversation"));
  if (conversation.path.length) inRoom((room) => room.toEnd());
  if (!matchMedia("(pointer: coarse)").matches) composer.focus();
}

function saveDraft() {
  clearTimeout(saving);
  return conversation.draft(composer.draft);
}

/** Keeps the question that is being written, at an address that a reload finds. */
function keepDraft() {
  if ((composer.text || composer.pictures.length) && !isServer()) setAddress(conversation.row.id);
  return saveDraft();
}

/** @param {string} name of a conversation; empty: a new one */
function setAddress(name) {
  if (location.hash.slice(1) !== name) history.replaceState(null, "", name ? `#${name}` : location.pathname + location.search);
}

/** The stage needs a picture, the first page neither picture nor question. */
function setView() {
  const hasPicture = conversation.pictures.length + composer.pictures.length > 0;
  const isEmpty = !hasPicture && !conversation.path.length;
  document.body.dataset.view = isEmpty ? "empty" : hasPicture ? "stage" : "text";
  empty.node.hidden = !isEmpty;
}

function isServer() {
  return location.hash === "#server";
}

/** Back to the conversation that was open. */
function leaveServer() {
  location.hash = conversation.row.id;
}

function showServer() {
  const asked = () => conversation.path.findLast(({ role }) => role === "user")?.text;
  const question = () => composer.text || asked() || say("default_question");
  return load(import("./server.js"), ({ createServer }) => {
    server ??= createServer(mount("server"), service, question, leaveServer);
    server.show();
  });
}

function switchHistory() {
  if (hasHistory() && !isServer()) return closeHistory();
  if (isServer()) leaveServer();
  markHistory(true);
  void load(import("./history.js"), ({ History }) => {
    list ??= createHistory(History);
    if (narrow.matches) document.querySelector(/** @type {"button"} */ (".history-close"))?.focus();
  });
}

/** @param {typeof History} List */
function createHistory(List) {
  const made = new List(mount("history"), {
    say,
    language: language(),
    store,
    onOpen,
    onRemoved: () => (location.hash = ""),
    onClose: closeHistory,
  });
  addEventListener("conversation", () => made.showOpen(conversation.row.id));
  made.showOpen(conversation.row.id);
  return made;
}

/** Opens a conversation, which the list does not cover. @param {string | null} id null: a new one */
function onOpen(id) {
  if (narrow.matches) closeHistory();
  location.hash = id ?? "";
}

function closeHistory() {
  const hasFocus = mount("history").contains(document.activeElement);
  markHistory(false);
  if (hasFocus) document.querySelector(/** @type {"button"} */ (".menu"))?.focus();
}

/** @param {boolean} isOpen */
function markHistory(isOpen) {
  document.body.classList.toggle("shows-history", isOpen);
  document.querySelector(".menu")?.setAttribute("aria-expanded", String(isOpen));
}

function hasHistory() {
  return document.body.classList.contains("shows-history");
}

/** Whether a dialog is open: keys are its own, and there is one at a time. */
function hasDialog() {
  return document.querySelector("dialog[open]") !== null;
}

/** N: new, /: write, Escape: close what is said of the server, or the list. @param {KeyboardEvent} event */
function key(event) {
  const isWriting = /** @type {HTMLElement} */ (event.target).matches("input, textarea, select");
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isComposing(event) || hasDialog()) return;
  if (event.key === "Escape" && isServer()) leaveServer();
  else if (event.key === "Escape" && hasHistory()) closeHistory();
  else if (event.key === "n" && !isWriting) onOpen(null);
  else if (event.key === "/" && !isWriting) write();
  else return;
  event.preventDefault();
}

/** The browser asks whether to leave. @param {Event} event */
function ask(event) {
  event.preventDefault();
}

function write() {
  if (narrow.matches) closeHistory();
  composer.focus();
}

/** Resolves when Gradio has built the mount points. @returns {Promise<void>} */
function shell() {
  return new Promise((resolve) => {
    const look = () => {
      if (!PLACES.every((id) => document.getElementById(id))) return;
      watching.disconnect();
      resolve();
    };
    const watching = new MutationObserver(look);
    watching.observe(document.documentElement, { childList: true, subtree: true });
    look();
  });
}
