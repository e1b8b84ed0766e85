/** Below the list: where it is kept; export, import, remove everything. */

/** @import { Say } from "./records.js" */
/** @import { Store } from "./store.js" */

import { StorageFull } from "./database.js";
import { button, el, put } from "./dom.js";
import { download } from "./download.js";
import { branch } from "./tree.js";

/**
 * @typedef {object} FootWays
 * @property {Say} say
 * @property {Store} store
 * @property {() => string | null} open the conversation that is open
 * @property {(said: string) => void} onSaid what came of it
 * @property {() => void} onRemoveAll
 */

/** @param {FootWays} ways @returns {HTMLElement} */
export function foot(ways) {
  const { say, store } = ways;
  const buttons = el("div", { class: "history-tools" });
  const exportAll = exporting(ways);
  const show = () =>
    put(
      buttons,
      button(say("history.export.one"), () => attempt(ways, exportOne)),
      exportAll,
      button(say("history.import"), () => importOne(ways)),
      button(say("history.remove_all"), ask),
    );
  const ask = () =>
    put(
      buttons,
      el("p", {}, say("history.remove_all.ask")),
      button(say("history.remove.yes"), () => (show(), ways.onRemoveAll()), { class: "is-danger" }),
      button(say("cancel"), show),
    );
  show();
  return el(
    "footer",
    { class: "history-foot" },
    el("p", {}, say(store.isKept ? "history.kept" : "history.unkept")),
    el("details", {}, el("summary", {}, say("history.manage")), buttons),
  );
}

/** @param {FootWays} ways */
async function exportOne({ say, store, open, onSaid }) {
  const id = open();
  const transcript = id && (await store.read(id));
  if (!transcript) return onSaid(say("history.export.none"));
  const { toMarkdown } = await transfer();
  const shown = branch(transcript.messages, transcript.conversation.leaf);
  download(toMarkdown(transcript.conversation.title, shown, say), "edge-vl", "md");
}

/** A button that exports all, a file at each press: browsers block a second download of one. @param {FootWays} ways */
function exporting(ways) {
  const { say, store, onSaid } = ways;
  /** @type {ReturnType<typeof import("./transfer.js").toJson> | null} */
  let files = null;
  let n = 1;
  const begin = () => {
    files = null;
    n = 1;
    put(made, say("history.export.all"));
  };
  const exportNext = async () => {
    const { toJson } = await transfer();
    files ??= toJson(store);
    const { value: file, done } = await files.next();
    if (file) download(file, n > 1 || !done ? `edge-vl part ${n}` : "edge-vl", "json");
    if (done) return begin();
    put(made, say("history.export.part", { n: n + 1 }));
    onSaid(say("history.export.more", { n }));
    n++;
  };
  const made = button(say("history.export.all"), () => attempt(ways, () => exportNext().catch((error) => (begin(), Promise.reject(error)))));
  return made;
}

const transfer = () => import("./transfer.js");

/** Does something, and says so if it fails. @param {FootWays} ways @param {(ways: FootWays) => Promise<void>} act */
async function attempt(ways, act) {
  try {
    await act(ways);
  } catch (error) {
    console.error(error);
    ways.onSaid(ways.say("history.failed"));
  }
}

/** @param {FootWays} ways */
function importOne(ways) {
  const input = el("input", { type: "file", accept: ".json,.md" });
  input.addEventListener("change", () => {
    const [file] = input.files ?? [];
    if (file) void attempt(ways, () => importFrom(file, ways));
  });
  input.click();
}

/** @param {File} file @param {FootWays} ways */
async function importFrom(file, { say, store, onSaid }) {
  const { importFile, ImportError } = await transfer();
  try {
    onSaid(say("history.imported", { n: await importFile(file, store) }));
  } catch (error) {
    if (error instanceof ImportError) onSaid(say("history.import.wrong"));
    else if (error instanceof StorageFull) onSaid(say("storage_full"));
    else throw error;
  }
}
