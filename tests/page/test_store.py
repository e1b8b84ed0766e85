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
           for (const id of ["a", "b"]) await store.write({conversation: talk(id),
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
           await store.write({conversation: talk("b"), messages: []});""",
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
