"""The page put together: its list, its keys, its parts that come when needed."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.conftest import wait_for
from tests.page.conftest import Site
from tests.page.test_notices import READY, SHOW, WORDS, answer

pytestmark = pytest.mark.browser

# The places of ui/shell.py, two conversations, and the page in them.
START = """async () => {
  const { el } = await import("/page/dom.js");
  const { openStore } = await import("/page/store.js");
  const store = await openStore();
  for (const id of ["one", "two"]) {
    const message = { conversation: id, pictures: [], created: 1, state: "done" };
    const [title, leaf] = [`Title ${id}`, `a${id}`];
    await store.write({
      conversation: { id, title, created: 1, updated: 1, leaf },
      messages: [
        { ...message, id: `q${id}`, parent: null, role: "user", text: `About ${id}` },
        { ...message, id: `a${id}`, parent: `q${id}`, role: "assistant", text: "So." },
      ],
    });
  }
  const place = (id, ...children) => el("div", { id }, ...children);
  const right = place("right", place("talk"), place("composer"));
  document.body.append(el("main", {}, place("bar"),
    place("work", place("history"), place("stage"), right), place("server")));
  await import("/page/main.js");
}"""
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


def begin(page: Page, site: Site, size: dict[str, int], address: str = "") -> None:
    answer(site, 200, READY)
    page.set_viewport_size(size)  # type: ignore[arg-type]
    page.evaluate("address => location.hash = address", address)
    page.evaluate(START)
    expect(page.locator("body.is-ready")).to_have_count(1)


def entry(page: Page, title: str) -> Locator:
    return page.locator(".history-entry").filter(has_text=title)


def test_a_list_over_the_page_is_closed_in_each_way(page: Page, site: Site) -> None:
    begin(page, site, PHONE)
    menu, seen = page.locator(".menu"), page.locator(".history")
    box, send = page.locator("#composer textarea"), page.locator(".send")
    box.fill("not to be asked")
    there = send.bounding_box()
    assert there

    def press_what_lies_below() -> None:
        x, y = there["x"] + there["width"] - 4, there["y"] + there["height"] / 2
        page.mouse.click(x, y)

    expect(box).to_have_attribute("dir", "auto")  # as long as it may be in Hebrew
    for way in (
        page.locator(".history-close").click,
        lambda: page.keyboard.press("Escape"),
        press_what_lies_below,
        lambda: entry(page, "Title two").locator(".history-open").click(),
    ):
        menu.click()
        expect(seen).to_be_visible()
        expect(menu).to_have_attribute("aria-expanded", "true")
        expect(page.locator(".history-close")).to_be_focused()
        way()
        expect(seen).to_be_hidden()
        expect(menu).to_have_attribute("aria-expanded", "false")
        if way is press_what_lies_below:
            expect(box).to_have_value("not to be asked")
    expect(page.locator(".bubble")).to_have_text("About two")


def test_a_list_beside_the_page_stays_where_one_is_chosen(
    page: Page, site: Site
) -> None:
    begin(page, site, DESK)
    page.locator(".menu").click()
    expect(page.locator(".history-close")).to_be_hidden()
    entry(page, "Title two").locator(".history-open").click()
    expect(page.locator(".bubble")).to_have_text("About two")
    expect(page.locator(".history")).to_be_visible()
    page.locator(".server-button").click()
    expect(page.locator("#server h2")).to_be_visible()
    page.keyboard.press("Escape")  # closes one thing at a time
    expect(page.locator(".history")).to_be_visible()
    page.locator(".server-button").click()
    page.locator(".menu").click()
    expect(page.locator(".history")).to_be_visible()
    page.locator(".menu").click()
    expect(page.locator(".history")).to_be_hidden()


def test_keys_go_to_what_is_open(page: Page, site: Site) -> None:
    begin(page, site, DESK, "two")
    page.locator(".menu").click()
    entry(page, "Title one").hover()
    page.get_by_role("button", name="Rename “Title one”").click()
    field = page.get_by_role("textbox", name="Title")
    # an input method ends with this Enter
    composed = "field => field.dispatchEvent(new KeyboardEvent('keydown', {%s}))"
    field.evaluate(composed % "key: 'Enter', isComposing: true, bubbles: true")
    expect(field).to_be_focused()
    field.press("Escape")
    expect(field).to_have_count(0)
    expect(page.locator(".history")).to_be_visible()

    page.get_by_role("button", name="More", exact=True).click()
    dialog = page.locator("dialog.more")
    dialog.get_by_role("button", name="Reset").focus()
    page.keyboard.press("n")
    expect(page).to_have_url(site.url + "#two")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.locator(".history")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".history")).to_be_hidden()
    page.locator(".menu").focus()
    page.keyboard.press("n")
    wait_for(lambda: page.evaluate("location.hash") == "")


def test_a_part_that_comes_late_comes_once(page: Page, site: Site) -> None:
    begin(page, site, DESK)
    held: list[Route] = []
    for part in ("history", "server", "more"):
        page.route(f"**/page/{part}.js", lambda route: held.append(route))
    more = page.get_by_role("button", name="More", exact=True)
    for _ in range(3):
        page.evaluate("location.hash = ''")
        expect(page.locator("body")).to_have_attribute("data-tab", "chat")
        page.locator(".menu").click()
        more.click()
        page.locator(".server-button").click()
        expect(page.locator("body")).to_have_attribute("data-tab", "server")
    wait_for(lambda: page.wait_for_timeout(20) or len(held) >= 3)
    for route in held:
        route.continue_()
    expect(page.locator("#server h2")).to_have_count(1)
    expect(page.locator("dialog.more")).to_have_count(1)
    expect(page.locator("nav.history")).to_have_count(1)


def test_this_server_asks_the_question_of_the_open_conversation(
    page: Page, site: Site
) -> None:
    begin(page, site, DESK, "one")
    for name in ("one", "two"):
        page.evaluate("name => location.hash = name", name)
        expect(page.locator(".bubble")).to_have_text(f"About {name}")
        page.locator(".server-button").click()
        expect(page.locator("#server pre").first).to_contain_text(f"About {name}")


def test_a_conversation_that_the_browser_lost_leaves_the_page(
    page: Page, site: Site
) -> None:
    lost = """() => (IDBIndex.prototype.getAll = () => {
      throw new DOMException("Failed to read large IndexedDB value", "DataError");
    })"""
    page.evaluate(lost)
    begin(page, site, DESK, "one")
    expect(page.locator("#composer textarea")).to_be_visible()
    expect(page).to_have_url(site.url)


def test_a_browser_that_keeps_nothing_warns_before_all_is_lost(
    browser: Browser, site: Site
) -> None:
    context = browser.new_context(locale="en-GB")
    context.add_init_script(
        """Object.defineProperty(window, "indexedDB", {value: null});
           Object.defineProperty(window, "localStorage", {
             get: () => { throw new DOMException("", "SecurityError"); }});"""
    )
    page = context.new_page()
    page.goto(site.url)
    begin(page, site, DESK)
    leave = "dispatchEvent(new Event('beforeunload', {cancelable: true}))"
    assert page.evaluate(leave) is True
    page.locator("#composer textarea").fill("a draft")
    wait_for(lambda: page.evaluate(leave) is False)
    said: list[Any] = []
    page.on("dialog", lambda dialog: (said.append(dialog.type), dialog.accept()))
    with page.expect_event("load"):  # the address is the new one before the reload
        page.get_by_label("Language").select_option("de")
    assert "?language=de" in page.url
    assert said == ["beforeunload"]
    begin(page, site, DESK)
    expect(page.locator("html")).to_have_attribute("lang", "de")
    context.close()


def test_a_notice_is_said_once(page: Page, site: Site) -> None:
    """Each change of it is read aloud, and the page looks every few seconds."""
    page.evaluate(SHOW)
    answer(site, 503, {"error": {"code": "shutting_down", "message": "?"}})
    page.evaluate("window.service.look()")
    expect(page.locator(".notice")).to_have_text(WORDS["error_shutting_down"])
    n_changes = """async () => {
      const about = { childList: true, characterData: true, subtree: true };
      let n = 0;
      const watching = new MutationObserver((changes) => (n += changes.length));
      watching.observe(document.querySelector(".notice"), about);
      await window.service.look();
      return n;
    }"""
    assert page.evaluate(n_changes) == 0
    answer(site, 200, {**READY, "models": []})
    assert page.evaluate(n_changes) > 0


def test_a_choice_goes_before_one_that_could_not_be_replaced(page: Page) -> None:
    found = page.evaluate(
        """async () => {
          const { keep, kept } = await import("/page/keeping.js");
          const { setItem } = Storage.prototype;
          const seen = [keep("edge.a", "old"), kept("edge.a")];
          Storage.prototype.setItem = () => {
            throw new DOMException("", "QuotaExceededError");
          };
          seen.push(keep("edge.a", "new"), kept("edge.a"));
          Storage.prototype.setItem = setItem;
          return [...seen, keep("edge.a", "newest"), kept("edge.a")];
        }"""
    )
    assert found == [True, "old", False, "new", True, "newest"]


def test_a_browser_without_notifications_is_offered_none(page: Page) -> None:
    """Chrome on Android has them, for service workers alone."""
    found = page.evaluate(
        """async () => {
          window.Notification = class {
            static permission = "default";
            static requestPermission = async () => "granted";
            constructor() { throw new TypeError("Illegal constructor"); }
          };
          const { Title } = await import("/page/title.js");
          let running = [{ job: { message: "m" }, progress: { left: () => 3 } }];
          const title = new Title({ all: () => running });
          await title.tell();
          Object.defineProperty(document, "hidden", { value: true });
          const show = () => document.dispatchEvent(new Event("visibilitychange"));
          show();
          running = [];
          show();
          return [Title.canTell, document.title];
        }"""
    )
    assert found == [False, "✓ Edge-VL"]


PAGE = "data: " + (
    '{"page": 1, "n_pages": 9, "url": "data:image/png;base64,'
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAA"
    'AABJRU5ErkJggg=="}\n\n'
)
TAKE = """async (limits) => {
  Object.defineProperty(navigator, "languages", { value: ["de"], configurable: true });
  const { Service } = await import("/page/service.js");
  const { openStore } = await import("/page/store.js");
  const { Taking } = await import("/page/taking.js");
  const { loadWords } = await import("/page/words.js");
  await loadWords();
  const service = new Service();
  service.limits = { ...service.limits, ...limits };
  const seen = { pictures: [], said: "" };
  const composer = {
    get pictures() { return seen.pictures; },
    add: (some) => seen.pictures.push(...some),
    say: (text) => (seen.said = text),
  };
  const taking = new Taking(service, await openStore(), composer);
  const file = new File(["%PDF-1.7"], "a.pdf");
  await taking.take([file], () => true, () => false);
  return [seen.pictures.length, seen.said];
}"""


def refused(code: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": "In English."}}


def test_a_document_that_is_not_read_is_said_in_the_language_of_the_page(
    page: Page,
) -> None:
    unreachable, done = "(Der Server ist nicht erreichbar.)", "data: [DONE]\n\n"
    cases: list[tuple[Any, int, int, str]] = [
        (None, 9, 0, unreachable),
        ((429, refused("rate_limit_exceeded")), 9, 0, "(Das Kontingent Ihres "),
        ((401, refused("invalid_api_key")), 9, 0, "(Sie sind nicht mehr angemeldet."),
        ((503, refused("no_worker")), 9, 0, "(Das Modell wird noch geladen.)"),
        ((413, refused("request_too_large")), 9, 0, "a.pdf ist größer als 24 MB."),
        ((400, refused("invalid_image")), 9, 0, "(In English.)"),
        (PAGE, 9, 1, unreachable),  # and then it broke off
        (PAGE + done, 1, 1, "die ersten 1 der 9 Seiten"),
        (PAGE + done, 9, 1, ""),
    ]
    asked: list[str] = []
    page.route("**/v1/pages", lambda route: give(route, cases[len(asked)][0], asked))
    for _, most, n_taken, said in cases:
        n, text = page.evaluate(TAKE, {"pages": most})
        assert (n, asked[-1]) == (n_taken, f"1-{most}")
        assert said in text and bool(said) == bool(text)


def give(route: Route, reply: Any, asked: list[str]) -> None:
    asked.append(route.request.post_data_json["file"]["pages"])
    if reply is None:
        route.abort()
    elif isinstance(reply, str):
        route.fulfill(content_type="text/event-stream", body=reply)
    else:
        route.fulfill(status=reply[0], json=reply[1])
