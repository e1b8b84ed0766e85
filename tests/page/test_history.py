"""The list of conversations, as a person uses it; and their way out of the browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import wait_for
from tests.page.conftest import MODULES

pytestmark = pytest.mark.browser

# Three conversations, and the list on the page; `window.opened` are those it opened.
SHOW = """async () => {
  const {openStore} = await import("/page/store.js");
  const {History} = await import("/page/history.js");
  const words = await (await fetch("/page/words/en.json")).json();
  const say = (key, values = {}) => {
    if (!(key in words)) throw new Error(`There are no words for ${key}.`);
    return words[key].replace(/\\{(\\w+)\\}/g, (_, name) => values[name]);
  };
  window.store = await openStore();
  const sha256 = await store.pictures.keep(new Blob(["GIF89a"], {type: "image/gif"}));
  const picture = {sha256, original: null, name: "p.gif", width: 1, height: 1, rows: 1,
    columns: 1};
  const isMade = (await store.conversations()).length > 0;
  const titles = isMade ? [] : ["Red <b>circle</b>", "Receipt", "Plate"];
  for (const [i, title] of titles.entries()) {
    const id = `c${i}`;
    const [asked, answered] = [`q${i}`, `a${i}`];
    const message = {conversation: id, pictures: [], state: "done"};
    await store.write({
      conversation: {id, title, created: i, updated: i, leaf: answered, cover: picture},
      messages: [
        {...message, id: asked, parent: null, role: "user", text: `About ${title}`,
          pictures: [picture], created: 1},
        {...message, id: answered, parent: asked, role: "assistant",
          text: i === 1 ? "It cost 26.02 EUR.\\n\\n| a | b |" : "Fine.", created: 2},
      ],
    }, i === 2 ? {key: "k", conversation: id, message: answered, job: "j", created: 1}
      : undefined);
  }
  const host = document.createElement("aside");
  host.style.height = "90vh";
  document.body.replaceChildren(host);
  window.opened = [];
  window.list = new History(host, {say, language: "en", store,
    onOpen: (id) => window.opened.push(id),
    onRemoved: () => window.opened.push(null)});
}"""


@pytest.fixture
def listed(page: Page) -> Page:
    page.evaluate(SHOW)
    expect(page.locator(".history-entry")).to_have_count(3)
    return page


def titles(page: Page) -> list[str]:
    return page.locator(".history-title").all_inner_texts()


def test_the_newest_is_first_and_opens(listed: Page) -> None:
    assert titles(listed) == ["Plate", "Receipt", "Red <b>circle</b>"]
    expect(listed.locator(".is-running .history-title")).to_have_text("Plate")
    listed.get_by_text("Receipt").click()
    listed.get_by_role("button", name="New question").click()
    assert listed.evaluate("window.opened") == ["c1", None]


def test_what_is_answered_is_no_longer_running(listed: Page) -> None:
    expect(listed.locator(".is-running")).to_have_count(1)
    listed.evaluate("window.store.endJob('k')")
    expect(listed.locator(".is-running")).to_have_count(0)


def test_an_empty_list_is_not_an_empty_search(listed: Page) -> None:
    listed.get_by_role("searchbox").fill("nowhere")
    expect(listed.locator(".history-none")).to_have_text("Nothing found.")
    listed.get_by_role("searchbox").fill("")
    listed.evaluate(
        "Promise.all(['c0', 'c1', 'c2'].map((id) => window.store.purge(id)))"
    )
    expect(listed.locator(".history-none")).to_have_text(
        "Your questions will be listed here."
    )


def test_search_looks_into_the_answers(listed: Page) -> None:
    listed.get_by_role("searchbox").fill("26.02 eur")
    expect(listed.locator(".history-title")).to_have_text(["Receipt"])
    listed.get_by_role("searchbox").fill("no such words")
    expect(listed.get_by_text("Nothing found.")).to_be_visible()
    escapes = """addEventListener("keydown", ({key, defaultPrevented}) =>
                   (window.escapes ??= []).push([key, defaultPrevented]))"""
    listed.evaluate(escapes)
    listed.keyboard.press("Escape")
    expect(listed.locator(".history-entry")).to_have_count(3)
    listed.keyboard.press("Escape")  # which closes the list
    assert listed.evaluate("window.escapes") == [["Escape", True], ["Escape", False]]


def test_a_new_title_stays(listed: Page) -> None:
    listed.get_by_text("Receipt").hover()
    listed.get_by_role("button", name="Rename “Receipt”").click()
    field = listed.get_by_role("textbox", name="Title")
    expect(field).to_be_focused()
    field.fill("Shopping")
    listed.evaluate("window.list.refresh()")  # as news of another tab do
    field.press("Enter")
    expect(listed.locator(".history-title").nth(1)).to_have_text("Shopping")
    expect(listed.get_by_role("button", name="Rename “Shopping”")).to_be_focused()
    listed.reload()
    listed.evaluate(SHOW)
    expect(listed.locator(".history-title").nth(1)).to_have_text("Shopping")


def test_a_removal_is_asked_first_and_can_be_undone(listed: Page) -> None:
    listed.clock.install(time=0)
    listed.clock.pause_at(3600)  # it can be undone for ten seconds
    remove = listed.get_by_role("button", name="Remove “Receipt”")
    remove.click()
    listed.get_by_role("button", name="Cancel").click()
    expect(listed.locator(".history-entry")).to_have_count(3)
    expect(remove).to_be_focused()
    remove.click()
    listed.get_by_role("button", name="Remove", exact=True).click()
    expect(listed.locator(".history-entry")).to_have_count(2)
    listed.clock.run_for(9000)
    listed.get_by_role("button", name="Undo").click()
    expect(listed.locator(".history-entry")).to_have_count(3)


def test_a_removal_ends_what_is_running(listed: Page) -> None:
    listed.clock.install(time=0)
    listed.clock.pause_at(3600)
    listed.get_by_role("button", name="Remove “Plate”").click()
    listed.get_by_role("button", name="Remove", exact=True).click()
    expect(listed.get_by_role("button", name="Undo")).to_be_visible()
    listed.clock.run_for(11_000)
    wait_for(lambda: listed.evaluate("window.store.read('c2')") is None)
    [job] = listed.evaluate("window.store.jobs()")
    assert (job["job"], job["message"], job["conversation"]) == ("j", "", "")


def test_all_conversations_move_to_another_browser(
    listed: Page, tmp_path: Path
) -> None:
    listed.get_by_text("Export, import, remove").click()
    with listed.expect_download() as started:
        listed.get_by_role("button", name="Export all").click()
    path = tmp_path / "all.json"
    started.value.save_as(path)
    listed.get_by_role("button", name="Remove all").click()
    listed.get_by_role("button", name="Remove", exact=True).click()
    expect(listed.locator(".history-entry")).to_have_count(0)
    choose(listed, path)
    expect(listed.get_by_text("Imported: 3.")).to_be_visible()
    expect(listed.locator(".history-entry")).to_have_count(3)
    kept = listed.evaluate(
        """async () => {
          const [{id}] = await store.conversations();
          const {conversation, messages} = await store.read(id);
          const [{sha256}] = messages[0].pictures;
          return [id === "c2", messages.map(({text}) => text),
            messages[1].id === conversation.leaf, messages[1].parent === messages[0].id,
            await (await store.pictures.read(sha256)).text()];
        }"""
    )
    assert kept == [False, ["About Plate", "Fine."], True, True, "GIF89a"]


def test_an_answer_keeps_its_marks_and_its_failure_on_the_way(page: Page) -> None:
    page.evaluate(SHOW)
    good = {"id": "4", "sha256": "s", "label": "cup", "hue": 2, "x": 0.5, "y": 0.25,
            "width": 0.5, "height": 0.5}  # fmt: skip
    wrong = {"x": 7, "y": "high", "width": 1, "hue": "red", "label": 5, "evil": 1}
    error = {"code": "queue_full", "message": "Full.", "evil": 1}
    found = page.evaluate(
        """async ([marks, error]) => {
          const {importFile, toJson} = await import("/page/transfer.js");
          await store.changeMessage("a0", () => ({marks}));
          await store.changeMessage("a1", () => ({state: "failed", error}));
          await store.changeMessage("q1", () => ({marks, error}));
          await store.changeMessage("a2", () => ({marks: Array(9000).fill(marks[0]),
            error}));
          const [files, parts] = [[], toJson(store, 1)];
          for (let part = {}; !part.done; ) {
            part = await parts.next();
            files.push(part.value);
          }
          const before = (await store.conversations()).map(({id}) => id);
          const n = [];
          for (const file of files) n.push(await importFile(file, store));
          const added = (await store.conversations())
            .filter(({id}) => !before.includes(id));
          const messages = [];
          for (const {id} of added) messages.push(...(await store.read(id)).messages);
          const all = messages.flatMap(({marks}) => marks ? [marks] : []);
          return [n, all.filter(({length}) => length < 9),
            messages.flatMap(({error}) => error ?? []),
            all.map(({length}) => length).filter((n) => n > 9)];
        }""",
        [[good, wrong], error],
    )
    assert found[0] == [1, 1, 1]  # a file for each, since each is longer than asked
    assert found[1] == [
        [
            good | {"id": "0"},
            {"id": "1", "sha256": "", "label": "", "hue": 0, "x": 1, "y": 0},
        ]
    ]
    assert found[2] == [{"code": "queue_full", "message": "Full."}]
    assert found[3] == [300]


def test_a_long_history_is_exported_a_file_at_each_press(listed: Page) -> None:
    """A browser blocks a second download of one press."""
    source = (MODULES / "transfer.js").read_text()
    short = source.replace("MOST_EXPORT_BYTES = 128 << 20", "MOST_EXPORT_BYTES = 900")
    assert short != source
    listed.route(
        "**/transfer.js",
        lambda route: route.fulfill(body=short, content_type="text/javascript"),
    )
    listed.get_by_text("Export, import, remove").click()
    names = []
    for button in ("Export all (JSON)", "Export part 2"):
        with listed.expect_download() as started:
            listed.get_by_role("button", name=button).click()
        names.append(started.value.suggested_filename[:14])
    assert names == ["edge-vl part 1", "edge-vl part 2"]
    expect(listed.get_by_role("button", name="Export all (JSON)")).to_be_visible()


def test_a_picture_of_100_megabytes_moves_too(listed: Page) -> None:
    """Where its text was copied, or made a list of characters, the tab crashed."""
    found = listed.evaluate(
        """async () => {
          const {importFile, toJson} = await import("/page/transfer.js");
          const blob = new Blob([new Uint8Array(100 << 20)], {type: "image/png"});
          const sha256 = await store.pictures.keep(blob, false);
          await store.changeMessage("q2", ({pictures: [picture]}) => (
            {pictures: [{...picture, sha256}]}));
          const {value} = await toJson(store).next();
          await store.pictures.remove([{sha256}], [], Date.now());
          const n = await importFile(value, store);
          return [n, (await store.pictures.read(sha256)).size];
        }"""
    )
    assert found == [1, 100 << 20]


def test_an_export_that_fails_is_said_to_have_failed(listed: Page) -> None:
    listed.evaluate(
        "void (store.pictures.read = () => Promise.reject(new RangeError('Too long')))"
    )
    listed.get_by_text("Export, import, remove").click()
    listed.get_by_role("button", name="Export all").click()
    expect(listed.locator(".history-notice")).to_have_text(
        "This did not work. Load the page again and try once more."
    )


def test_one_conversation_goes_out_and_in_as_markdown(
    listed: Page, tmp_path: Path
) -> None:
    listed.evaluate("window.list.showOpen('c1')")
    listed.get_by_text("Export, import, remove").click()
    with listed.expect_download() as started:
        listed.get_by_role("button", name="Export this one").click()
    path = tmp_path / "one.md"
    started.value.save_as(path)
    text = path.read_text()
    assert text.startswith("# Receipt\n") and "It cost 26.02 EUR.\n\n| a | b |" in text
    choose(listed, path)
    expect(listed.locator(".history-entry")).to_have_count(4)
    said = listed.evaluate(
        """async () => (await store.read((await store.conversations())[0].id))
             .messages.map(({role, text}) => [role, text])"""
    )
    assert [role for role, _ in said] == ["user", "assistant"]
    assert said[1][1] == "It cost 26.02 EUR.\n\n| a | b |"


@pytest.mark.parametrize(
    "wrong",
    [
        "hello",
        "[]",
        '{"format": "edge-vl conversations", "transcripts": [{}]}',
        '{"format": "edge-vl conversations", "transcripts": [7]}',
    ],
)
def test_another_file_is_refused(listed: Page, tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(wrong)
    listed.get_by_text("Export, import, remove").click()
    choose(listed, path)
    expect(listed.get_by_text("was not exported here")).to_be_visible()


def test_a_forged_file_brings_only_what_the_page_knows(
    listed: Page, tmp_path: Path
) -> None:
    message: dict[str, Any] = {
        "id": "__proto__",
        "role": "system",
        "text": {"not": "text"},
        "pictures": [{"sha256": 5, "name": "x" * 9000, "width": "wide"}],
        "state": "asked",
        "evil": 1,
    }
    forged = {
        "format": "edge-vl conversations",
        "transcripts": [{"conversation": {"title": "T"}, "messages": [message]}],
        "pictures": {"a": "javascript:alert(1)", "b": "data:text/html;base64,PGI+"},
    }
    path = tmp_path / "forged.json"
    path.write_text(json.dumps(forged))
    listed.get_by_text("Export, import, remove").click()
    choose(listed, path)
    expect(listed.locator(".history-entry")).to_have_count(4)
    [read] = listed.evaluate(
        "async () => (await store.read((await store.conversations())[0].id)).messages"
    )
    assert (read["role"], read["text"], read["state"]) == ("user", "", "stopped")
    assert "evil" not in read and len(read["pictures"][0]["name"]) == 200


def choose(page: Page, path: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Import").click()
    chooser.value.set_files(path)
