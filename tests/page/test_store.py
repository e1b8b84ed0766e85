"""What the browser keeps: conversations, pictures, running jobs."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.page.conftest import Site

pytestmark = pytest.mark.browser

HTML = "text/html"

# Opens the store and makes records.
START = """
  const {openStore, UNDO_MS} = await import("/page/store.js");
  const tree = await import("/page/tree.js");
  const store = await openStore();
  const talk = (id, more = {}) => ({id, title: id, created: 1, updated: 1, leaf: null,
    ...more});
  const said = (id, conversation, parent, more = {}) => ({id, conversation, parent,
    role: "user", text: id, pictures: [], created: Date.now(), state: "done", ...more});
  const job = (key, conversation) => ({key, conversation, message: "m", job: null,
    created: 1});
"""


def run(page: Page, script: str, value: object = None) -> Any:
    return page.evaluate(f"async (given) => {{ {START} {script} }}", value)


def test_a_conversation_survives_a_reload(page: Page) -> None:
    run(
        page,
        """await store.write({conversation: talk("a", {leaf: "2"}),
             messages: [said("1", "a", null), said("2", "a", "1")]}, job("k", "a"));""",
    )
    page.reload()
    kept = run(
        page,
        """await store.changeMessage("2", () => ({text: "longer", received: "6"}));
           const {conversation, messages} = await store.read("a");
           const branch = tree.branch(messages, conversation.leaf);
           return [store.isKept, branch.map(({text}) => text), await store.jobs()];""",
    )
    assert kept[:2] == [True, ["1", "longer"]]
    assert [one["key"] for one in kept[2]] == ["k"]


def test_branches_of_an_edited_question(page: Page) -> None:
    found = run(
        page,
        """const answer = {role: "assistant"};
           const all = [said("q1", "a", null), said("a1", "a", "q1", answer),
             said("q2", "a", null), said("a2", "a", "q2", answer),
             said("a3", "a", "q2", answer)];
           const names = (some) => some.map(({id}) => id);
           return [names(tree.branch(all, "a3")), names(tree.versions(all, all[0])),
             names(tree.versions(all, all[4])), tree.newestLeaf(all, "q2"),
             tree.newestLeaf(all, "q1")];""",
    )
    assert found == [["q2", "a3"], ["q1", "q2"], ["a2", "a3"], "a3", "a1"]


def test_a_circle_of_parents_ends(page: Page) -> None:
    script = (
        'return tree.branch([said("1", "a", "2"), said("2", "a", "1")], "1").length;'
    )
    assert run(page, script) == 2


def test_a_picture_is_found_by_its_digest(page: Page) -> None:
    kept = run(
        page,
        """const digest = await store.pictures.keep(new Blob(["abc"]), false);
           return [digest, await (await store.pictures.read(digest)).text(),
             await store.pictures.read("0".repeat(64))];""",
    )
    assert kept[0].startswith("ba7816bf") and kept[1:] == ["abc", None]


def test_a_picture_that_nothing_names_goes_when_it_is_old(page: Page) -> None:
    kept = run(
        page,
        """const keep = (text) => store.pictures.keep(new Blob([text]), false);
           const names = [await keep("asked"), await keep("draft"), await keep("lost")];
           const pictures = (i) => [{sha256: names[i], original: null}];
           await store.write({conversation: talk("a", {draft: {text: "",
             pictures: pictures(1)}}), messages: [said("1", "a", null,
             {pictures: pictures(0)})]});
           const left = async () => (await Promise.all(names.map((one) =>
             store.pictures.read(one)))).map(Boolean);
           await store.sweep(Date.now());
           const soon = await left();
           await store.sweep(Date.now() + 2 * 3600 * 1000);
           return [soon, await left()];""",
    )
    assert kept == [[True, True, True], [True, True, False]]


def test_a_removed_conversation_comes_back_or_goes_for_good(page: Page) -> None:
    found = run(
        page,
        """const titles = async () => (await store.conversations()).map(({id}) => id);
           for (const id of ["a", "b"]) await store.write(
             {conversation: talk(id, {leaf: "m" + id}),
              messages: [said("m" + id, id, null)]}, job("j" + id, id));
           const now = Date.now();
           await store.changeConversation("a", {removed: now});
           await store.changeConversation("b", {removed: now});
           const none = await titles();
           await store.changeConversation("a", {removed: undefined});
           await store.sweep(now + UNDO_MS + 1);
           return [none, await titles(), await store.read("b"),
             (await store.jobs()).map(({key, message}) => [key, message])];""",
    )
    assert found == [[], ["a"], None, [["ja", "m"], ["jb", ""]]]


def test_the_pictures_of_a_removed_conversation_go_with_it(page: Page) -> None:
    """Unless another one names them, or they are chosen again in the meantime."""
    left = run(
        page,
        """const names = ["asked", "original", "draft", "before", "shared", "again",
             "other"];
           const keep = (text) => store.pictures.keep(new Blob([text]), false);
           const [asked, original, draft, before, shared, again, other] =
             await Promise.all(names.map(keep));
           const refs = (...all) => all.map((sha256) => ({sha256, original: null}));
           const pictures = [{sha256: asked, original}, ...refs(shared, again)];
           await store.write({conversation: talk("a", {leaf: "m", draft: {text: "",
             pictures: refs(draft), before: {text: "", pictures: refs(before)}}}),
             messages: [said("m", "a", null, {pictures})]});
           await store.write({conversation: talk("b", {draft: {text: "",
             pictures: refs(shared)}}), messages: [said("n", "b", null,
             {pictures: refs(other)})]});
           const found = async () => {
             const all = [asked, original, draft, before, shared, again, other];
             const files = all.map((one) => store.pictures.read(one));
             const are = await Promise.all(files);
             return names.filter((_, n) => are[n]);
           };
           const removed = Date.now();
           await store.changeConversation("a", {removed});
           while (Date.now() === removed);
           await keep("again");
           const before_it = await found();
           await store.purge("a");
           return [before_it.length, await found(), await store.read("a"),
             (await store.read("b")).messages.length];""",
    )
    assert left == [7, ["shared", "again", "other"], None, 1]


def test_a_draft_that_is_asked_during_a_sweep_keeps_its_pictures(page: Page) -> None:
    left = run(
        page,
        """const {Store} = await import("/page/store.js");
           const {MemoryTables} = await import("/page/memory.js");
           const keys = {conversations: "id", messages: "id", pictures: "sha256",
             jobs: "key"};
           class Asked extends MemoryTables {
             after = {};
             async all(table, conversation) {
               const rows = await super.all(table, conversation);
               if (!conversation) await this.after[table]?.();
               return rows;
             }
           }
           const tables = new Asked(keys);
           const other = new Store(tables, "other");
           const sha256 = await other.pictures.keep(new Blob(["abc"]), false);
           const pictures = [{sha256, original: null}];
           await other.write({conversation: talk("a", {draft: {text: "", pictures}}),
             messages: []});
           tables.after.messages = () => other.write({conversation: talk("a",
             {leaf: "m"}), messages: [said("m", "a", null, {pictures})]});
           await other.sweep(Date.now() + 2 * 3600 * 1000);
           return [(await other.read("a")).messages.length,
             Boolean(await other.pictures.read(sha256))];""",
    )
    assert left == [1, True]


def test_a_question_that_was_erased_leaves_no_conversation(page: Page) -> None:
    found = run(
        page,
        """const {OpenConversation} = await import("/page/conversation.js");
           const conversation = new OpenConversation(store);
           const n = async () => (await store.conversations()).length;
           const text = (text) => conversation.draft({text, pictures: []});
           await text("half a question");
           const seen = [await n()];
           await text("");
           seen.push(await n());
           await text("another");
           seen.push(await n());
           await text("");
           await store.sweep(Date.now() + 2 * UNDO_MS);
           return [...seen, await store.read(conversation.row.id)];""",
    )
    assert found == [1, 0, 1, None]


def test_a_clock_that_was_set_back_holds_no_job(page: Page) -> None:
    run(
        page,
        'await store.write({conversation: talk("a"), messages: []}, job("k", "a"));',
    )
    other = page.context.new_page()
    other.goto(page.url)
    script = "return Boolean(await store.claimJob('k', Date.now() - given))"
    assert run(other, script, 0) is False
    assert run(other, script, 3600 * 1000) is True


def test_a_picture_that_was_sent_is_no_less_needed_when_it_is_chosen(
    page: Page,
) -> None:
    """As the original of another one: originals go first when room is short."""
    found = run(
        page,
        """const {PictureStore} = await import("/page/picture_store.js");
           const {StorageFull} = await import("/page/database.js");
           const {MemoryTables} = await import("/page/memory.js");
           class Small extends MemoryTables {
             async write(batch) {
               const [[, row] = []] = batch.put ?? [];
               const rows = [...await this.all("pictures"), ...(row ? [row] : [])];
               if (row && rows.reduce((n, {blob}) => n + blob.size, 0) > 10)
                 throw new StorageFull();
               await super.write(batch);
             }
           }
           const pictures = new PictureStore(new Small({pictures: "sha256"}));
           const blob = (text) => new Blob([text]);
           const sent = await pictures.keep(blob("abc"), false);
           await pictures.keep(blob("abc"), true);
           const original = await pictures.keep(blob("de"), true);
           const next = await pictures.keep(blob("fghijk"), false);
           const left = async (name) => Boolean(await pictures.read(name));
           return [await left(sent), await left(original), await left(next)];""",
    )
    assert found == [True, False, True]


def test_one_tab_follows_a_job_until_it_stops_renewing(page: Page) -> None:
    run(
        page,
        'await store.write({conversation: talk("a"), messages: []}, job("k", "a"));',
    )
    other = page.context.new_page()
    other.goto(page.url)
    script = """window.store ??= store;
                return Boolean(await window.store.claimJob("k", given));"""
    assert run(page, script, 1000) is True
    assert run(other, script, 2000) is False
    assert run(page, script, 9000) is True  # renewed
    assert run(other, script, 20_000) is False
    assert run(other, script, 60_000) is True  # the first tab is gone


def test_tabs_hear_of_each_other(page: Page) -> None:
    heard = """window.heard = []; window.store = store;
               store.watch((change) => window.heard.push(change));"""
    run(page, heard)
    other = page.context.new_page()
    other.goto(page.url)
    run(other, 'await store.write({conversation: talk("a"), messages: []});')
    page.wait_for_function("window.heard.length === 1")
    assert page.evaluate("window.heard") == [{"conversation": "a"}]


def test_servers_below_two_paths_share_nothing(page: Page) -> None:
    heard = "window.heard = []; store.watch((change) => window.heard.push(change));"
    option = """const {keepOptions, options} = await import("/page/options.js");"""
    run(page, heard)
    other = page.context.new_page()
    other.route("**/vision/", lambda route: route.fulfill(body="", content_type=HTML))
    other.goto(f"{page.url}vision/")
    found = """const all = [await store.conversations(), await store.jobs(), options()];
               return all.map((some) => Object.keys(some).length);"""
    write = """await store.write({conversation: talk("a", {leaf: "m"}), messages: []},
                 job("k", "a"));
               keepOptions({system: "Be brief."});"""
    run(other, option + write)
    assert run(other, option + found) == [1, 1, 1]
    assert run(page, option + found) == [0, 0, 0]
    assert page.evaluate("window.heard") == []


def test_without_indexed_db_a_session_works(browser: Browser, site: Site) -> None:
    context = browser.new_context()
    context.add_init_script("Object.defineProperty(window, 'indexedDB', {value: null})")
    page = context.new_page()
    page.goto(site.url)
    found = run(
        page,
        """const messages = [said("1", "a", null)];
           await store.write({conversation: talk("a"), messages});
           const digest = await store.pictures.keep(new Blob(["abc"]), true);
           await store.changeMessage("1", () => ({text: "new"}));
           return [store.isKept, (await store.read("a")).messages[0].text,
             await (await store.pictures.read(digest)).text()];""",
    )
    assert found == [False, "new", "abc"]
    context.close()


def test_a_full_disk_drops_chosen_files_first_and_is_said(page: Page) -> None:
    session = page.context.new_cdp_session(page)
    # sizes in MiB; a file may need twice its room while it is written
    quota = {"origin": page.url, "quotaSize": 40 << 20}
    session.send("Storage.overrideQuotaForOrigin", quota)
    found = run(
        page,
        """const blob = (n, first) => new Blob([new Uint8Array(n << 20).fill(first)]);
           const original = await store.pictures.keep(blob(18, 1), true);
           const sent = await store.pictures.keep(blob(8, 2), false);
           const next = await store.pictures.keep(blob(15, 3), false);
           const left = async (name) => Boolean(await store.pictures.read(name));
           let code = "";
           await store.pictures.keep(blob(33, 4), false)
             .catch((error) => code = error.code);
           return [await left(original), await left(next), code];""",
    )
    assert found == [False, True, "storage_full"]


def test_a_store_that_cannot_be_tidied_up_still_opens(page: Page) -> None:
    """As on a full disk: else the page would stay blank at each load."""
    run(
        page,
        """const old = {removed: 1};
           await store.write({conversation: talk("a", old), messages: []});
           await store.write({conversation: talk("b", {leaf: "m"}), messages: []});""",
    )
    page.evaluate(
        """() => {
          IDBObjectStore.prototype.delete = () => {
            throw new DOMException("No room.", "QuotaExceededError");
          };
        }"""
    )
    names = "return (await store.conversations()).map(({id}) => id)"
    with page.expect_console_message(lambda said: said.type == "error"):
        assert run(page, names) == ["b"]
