/**
 * Puts the page together, as soon as the shell stands: the bar, the composer and the
 * first page at once, everything else when it is first needed.
 */

/** @import { Room } from "./room.js" */
import { Bar } from "./bar.js";
import { Composer } from "./composer.js";
import { OpenConversation } from "./conversation.js";
import { mount } from "./dom.js";
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

applyLook();
const [store] = await Promise.all([openStore(), loadWords(), shell()]);
document.documentElement.lang = language(); // now: the shell marks it with the browser's
const service = new Service();
const conversation = new OpenConversation(store);

/** @type {Promise<Room> | undefined} */
let room;
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
  more: () => void load(import("./more.js"), ({ openMore }) => openMore(service, () => composer.update())),
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
conversation.watch(() => {
  setView();
  composer.update();
});
watchIncoming(take);
addEventListener("keydown", key);
addEventListener("hashchange", () => void go());
addEventListener("pagehide", () => void keepDraft());
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
  const isKnown = name && (await conversation.open(name));
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

async function showServer() {
  const host = mount("server");
  if (host.childElementCount) return;
  const asked = conversation.path.findLast(({ role }) => role === "user");
  const question = () => composer.text || asked?.text || say("default_question");
  await load(import("./server.js"), ({ createServer }) => void createServer(host, service, question, leaveServer));
}

function switchHistory() {
  if (isServer()) leaveServer();
  const isOpen = document.body.classList.toggle("shows-history");
  document.querySelector(".menu")?.setAttribute("aria-expanded", String(isOpen));
  const host = mount("history");
  if (host.childElementCount) return;
  void load(import("./history.js"), ({ History }) => {
    const list = new History(host, {
      say,
      language: language(),
      store,
      onOpen: (id) => {
        if (innerWidth <= 1100) document.body.classList.remove("shows-history");
        location.hash = id ?? "";
      },
      onRemoved: () => (location.hash = ""),
    });
    addEventListener("conversation", () => list.showOpen(conversation.row.id));
    list.showOpen(conversation.row.id);
  });
}

/** N: new, /: write, Escape: close the list, or what is said of the server. @param {KeyboardEvent} event */
function key(event) {
  const isWriting = /** @type {HTMLElement} */ (event.target).matches("input, textarea, select");
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.key === "Escape" && document.body.classList.contains("shows-history")) switchHistory();
  else if (event.key === "Escape" && isServer()) leaveServer();
  else if (event.key === "n" && !isWriting) location.hash = "";
  else if (event.key === "/" && !isWriting) composer.focus();
  else return;
  event.preventDefault();
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
