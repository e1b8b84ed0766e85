"""The chat page in a real browser: upload, ask, stream, stop."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.conftest import wait_for
from tests.stack.conftest import Stack

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.model]

# The test browser connects to this machine only.
QUIET = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
]
STOP = "button.stop-button"
SUBMIT = "button.submit-button"
BOT = "#chat .bot"


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield one
        one.close()


@pytest.fixture
def picture(draw, tmp_path: Path) -> Path:
    path = tmp_path / "disc.jpg"
    path.write_bytes(draw("red"))
    return path


def open_page(browser: Browser, stack: Stack, **options: object) -> Page:
    page = browser.new_context(**options).new_page()
    page.goto(stack.url)
    expect(page.get_by_role("textbox")).to_be_visible(timeout=20_000)
    return page


def ask(page: Page, text: str, picture: Path | None = None) -> None:
    if picture:
        page.set_input_files("input[type=file]", str(picture))
        expect(page.locator(".thumbnail-item, .thumbnail-image").first).to_be_visible()
    page.get_by_role("textbox").fill(text)
    page.locator(SUBMIT).click()


def answer(page: Page) -> str:
    found = page.locator(BOT).last
    return found.inner_text() if found.count() else ""


def test_a_question_about_a_picture_is_answered(browser, stack, picture) -> None:
    page = open_page(browser, stack)
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    ask(page, "What shape is this, and which colour?", picture)
    wait_for(lambda: answer(page) == "A red circle.", 30)
    expect(page.locator(SUBMIT)).to_be_visible(timeout=30_000)
    expect(page.locator("#chat .user img").first).to_be_visible()  # the preview
    assert hosts <= {stack.url.removeprefix("http://")}
    ask(page, "Where is it?")  # a follow-up about the same picture
    wait_for(lambda: answer(page) == "At the top left.", 30)
    expect(page.locator(SUBMIT)).to_be_visible(timeout=30_000)


@pytest.mark.parametrize(("locale", "share"), [("en", "Share"), ("zh-CN", "分享")])
def test_no_button_uploads_a_picture_elsewhere(
    browser, stack, picture, locale, share
) -> None:
    page = open_page(browser, stack, locale=locale)
    ask(page, "What shape is this?", picture)
    expect(page.locator(SUBMIT)).to_be_visible(timeout=30_000)
    expect(page.locator("#chat .message-buttons a").first).to_be_visible()
    expect(page.get_by_title(share)).to_be_hidden()


def test_text_grows_and_stop_stops_the_engine(browser, slow_stack, picture) -> None:
    page = open_page(browser, slow_stack)
    ask(page, "Tell me all about it", picture)
    wait_for(lambda: len(answer(page).split()) > 10, 30)
    early = len(answer(page))
    wait_for(lambda: len(answer(page)) > early + 100, 30)
    page.locator(STOP).click()
    expect(page.locator(SUBMIT)).to_be_visible(timeout=5000)
    # the one slot is free again: a short question is answered at once
    started = time.monotonic()
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}
    request = urllib.request.Request(
        f"{slow_stack.url}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as reply:
        assert json.load(reply)["usage"]["completion_tokens"] == 3
    assert time.monotonic() - started < 3
    stopped = answer(page)
    time.sleep(1)
    assert answer(page) == stopped


def test_a_waiting_question_shows_its_position(browser, slow_stack, picture) -> None:
    first, second = (open_page(browser, slow_stack) for _ in range(2))
    ask(first, "First", picture)
    wait_for(lambda: len(answer(first).split()) > 10, 30)
    ask(second, "Second")
    wait_for(lambda: "number 1 in the queue" in answer(second), 10)
    first.locator(STOP).click()
    wait_for(lambda: len(answer(second).split()) > 20, 20)
    second.close()  # closing the tab cancels too
    third = open_page(browser, slow_stack)
    ask(third, "Third")
    wait_for(lambda: len(answer(third).split()) > 20, 20)
    third.locator(STOP).click()
    expect(third.locator(SUBMIT)).to_be_visible(timeout=5000)


@pytest.mark.parametrize(
    ("locale", "title", "warning", "place"),
    [
        ("en-US", "Ask about a picture", "only simple shapes", "Add a picture"),
        ("zh-CN", "看图问答", "只认识简单的图形", "添加图片"),
    ],
)
def test_the_page_speaks_the_browsers_language(
    browser, stack, locale, title, warning, place
) -> None:
    page = open_page(browser, stack, locale=locale)
    expect(page.locator("#title")).to_have_text(title)
    expect(page.locator("#notice")).to_contain_text(warning)
    assert place in (page.get_by_role("textbox").get_attribute("placeholder") or "")


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_the_question_box_stays_in_sight(browser, stack, picture, size) -> None:
    width, height = size
    page = open_page(browser, stack, viewport={"width": width, "height": height})
    ask(page, f"A long answer at {width}", picture)
    expect(page.locator(STOP)).to_be_visible()
    expect(page.locator(SUBMIT)).to_be_visible(timeout=30_000)
    box = page.get_by_role("textbox").bounding_box()
    assert box and box["y"] + box["height"] <= height
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_an_empty_question_makes_no_job(browser, stack) -> None:
    page = open_page(browser, stack)
    ask(page, "   ")
    page.wait_for_timeout(500)
    assert answer(page) in ("", "Write a question or add a picture.")


def test_a_file_that_is_not_a_picture_is_refused(browser, stack, tmp_path) -> None:
    fake = tmp_path / "fake.jpg"
    fake.write_bytes(b"<html>not a picture</html>")
    page = open_page(browser, stack)
    page.set_input_files("input[type=file]", str(fake))
    expect(page.get_by_text("not a picture in one of the formats")).to_be_visible()
    ask(page, "And without it?")  # the page still works
    wait_for(lambda: answer(page), 30)


def test_too_many_pictures_are_refused(browser, stack, draw, tmp_path) -> None:
    files = [tmp_path / f"{i}.jpg" for i in range(9)]
    for i, file in enumerate(files):
        file.write_bytes(draw("red", i, size=(64, 64)))
    page = open_page(browser, stack)
    page.set_input_files("input[type=file]", [str(file) for file in files])
    expect(page.get_by_text("Send at most 8 files")).to_be_visible()
    assert page.locator(".thumbnail-item").count() == 0


def test_a_picture_can_be_asked_about_again_and_taken_back(
    browser, stack, picture
) -> None:
    page = open_page(browser, stack)
    ask(page, "What shape is this, and which colour?", picture)
    wait_for(lambda: answer(page) == "A red circle.", 30)
    expect(page.locator(SUBMIT)).to_be_visible(timeout=30_000)
    page.get_by_title("Retry").click()
    wait_for(lambda: answer(page) == "A red circle.", 30)
    expect(page.locator(SUBMIT)).to_be_visible(timeout=30_000)
    assert page.locator("#chat .user img").count() == 1
    page.get_by_title("Undo").click()
    box = page.get_by_role("textbox")
    expect(box).to_have_value("What shape is this, and which colour?")
    expect(page.locator(".thumbnail-item, .thumbnail-image").first).to_be_visible()
    expect(page.locator(BOT)).to_have_count(0)
    page.locator(SUBMIT).click()
    wait_for(lambda: answer(page) == "A red circle.", 30)
    expect(box).to_have_value("")
    page.get_by_title("Clear").click()
    expect(page.locator(BOT)).to_have_count(0)


def test_markup_in_a_question_is_not_executed(browser, stack) -> None:
    page = open_page(browser, stack)
    ask(page, "<img src=x onerror=\"document.title='pwned'\"> hello")
    wait_for(lambda: answer(page), 30)
    expect(page.locator(SUBMIT)).to_be_visible(timeout=30_000)  # it has ended
    assert page.title() != "pwned"
