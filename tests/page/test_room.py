"""The whole page over a server that is only played: what a person does, and sees."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.page.conftest import Site
from tests.page.test_resume import DONE, FINISH, refusal, stream, text
from tests.stack.visitor import Visitor

pytestmark = pytest.mark.browser

# The mount points of the shell, and the page's modules in them.
OPEN = """async () => {
  for (const id of ["bar", "history", "stage", "talk", "composer", "server"]) {
    const place = document.createElement("div");
    place.id = id;
    document.body.append(place);
  }
  await import("/page/main.js");
}"""
STATUS = {"models": [{"id": "m"}], "slots": 4, "running": 0, "waiting": 0}
ANSWER = stream(text("A red circle.", 3), FINISH, DONE)


class Played:
    """A server whose answers to questions and to requests of jobs a test sets."""

    def __init__(self) -> None:
        self.answer: Callable[[BaseHTTPRequestHandler], None] = ANSWER
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[Any] = []

    def __call__(self, http: BaseHTTPRequestHandler) -> None:
        body = http.rfile.read(int(http.headers.get("content-length", 0)))
        path = http.path.split("?")[0]
        if path == "/v1/status" or path.startswith("/v1/models/"):
            data = json.dumps(STATUS if path == "/v1/status" else {}).encode()
            http.send_response(200)
            http.send_header("content-length", str(len(data)))
            http.end_headers()
            http.wfile.write(data)
            return
        self.asked.append((http.command, path))
        if body:
            self.bodies.append(json.loads(body))
        self.answer(http)


@pytest.fixture
def server(site: Site) -> Played:
    site.answer = played = Played()
    return played


@pytest.fixture
def visitor(page: Page, site: Site, server: Played) -> Visitor:
    one = Visitor(page, site.url)
    page.clock.install()  # time goes on, and a test can let it go faster
    show(one)
    return one


def show(visitor: Visitor) -> None:
    visitor.page.evaluate(OPEN)
    visitor.wait_ready()


@pytest.fixture
def drawn(tmp_path: Path) -> Callable[..., Path]:
    def one(colour: str, size: tuple[int, int] = (320, 240)) -> Path:
        path = tmp_path / f"{colour}.png"
        Image.new("RGB", size, colour).save(path)
        return path

    return one


def test_a_copied_answer_is_said_to_be_copied_for_a_moment(
    visitor: Visitor,
) -> None:
    page = visitor.page
    visitor.ask("hello")
    visitor.expect_answer("A red circle.")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    copy = page.locator(".answer .actions button").first
    page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 60)
    for _ in range(2):
        page.clock.run_for(1000)  # less than "Copied" is there
        copy.evaluate("one => one.textContent = ''")  # so that it is written again
        copy.click()
        expect(copy).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "A red circle."
    page.clock.run_for(1000)
    expect(copy).to_have_text("Copied")
    page.clock.run_for(1000)
    expect(copy).to_have_text("Copy")


def test_a_stop_is_said_aloud_and_the_next_question_can_be_written(
    visitor: Visitor, server: Played
) -> None:
    stopped = threading.Event()

    def part(http: BaseHTTPRequestHandler) -> None:
        if http.command == "POST":
            stream(text("One two", 3))(http)
            http.wfile.flush()
            stopped.wait(60)
        else:
            refusal(404, "not_found")(http)

    server.answer = part
    visitor.ask("hello")
    expect(visitor.answers.last).to_have_text("One two")
    visitor.stop.click()
    expect(visitor.box).to_be_focused()
    said = visitor.page.locator(".answer [role=status]")
    expect(said).to_have_text("Stopped after 2 words")
    expect(visitor.page.get_by_text("Stopped after")).to_have_count(1)
    stopped.set()


def test_the_original_is_sent_in_the_place_of_its_picture(
    visitor: Visitor, drawn: Callable[..., Path]
) -> None:
    page = visitor.page
    visitor.add(drawn("red", (2400, 1800)), drawn("blue"))
    strip = page.locator(".strip-picture")
    names = "all => all.map(one => one.title)"
    strip.first.click()
    page.get_by_label("send the original").check()
    expect(page.locator(".stage-size")).to_contain_text("2400 × 1800")
    assert strip.evaluate_all(names) == ["red.png", "blue.png"]
    # nor is it lost in a question that is left while it is read
    visitor.until(lambda: "2400" in str(visitor.kept("conversations")), 20)
    page.get_by_label("send the original").uncheck()
    page.evaluate("location.hash = 'another'")
    expect(strip).to_have_count(0)
    page.go_back()
    expect(strip).to_have_count(2)
    assert strip.evaluate_all(names) == ["red.png", "blue.png"]


@pytest.mark.parametrize("way", ["Ask again", "reload"])
def test_an_answer_outlives_the_end_of_a_login(
    visitor: Visitor, server: Played, way: str
) -> None:
    def first(http: BaseHTTPRequestHandler) -> None:
        server.answer = refusal(401, "invalid_api_key")
        stream(text("One ", 4), breaks=True)(http)

    server.answer = first
    visitor.ask("hello")
    card = visitor.page.locator(".failure")
    expect(card).to_contain_text("not signed in")
    n_asked = len(server.asked)
    visitor.page.clock.run_for(6000)  # it is not asked for again in vain
    assert len(server.asked) == n_asked
    server.answer = stream(text("two", 7), FINISH, DONE)
    if way == "reload":
        visitor.page.reload()
        show(visitor)
    else:
        card.get_by_role("button", name=way).click()
    visitor.expect_answer("One two")
    expect(card).to_have_count(0)
    paths = [path for method, path in server.asked if method == "POST"]
    assert paths == ["/v1/chat/completions"]
    visitor.until(lambda: not visitor.kept("jobs"), 20)


def test_a_small_picture_of_a_question_is_shown_large(
    visitor: Visitor, drawn: Callable[..., Path]
) -> None:
    page = visitor.page
    visitor.ask("What are they?", drawn("red"), drawn("blue"))
    visitor.expect_answer("A red circle.")
    shown = page.locator(".stage-picture img")
    for name in ("red.png", "blue.png"):
        page.locator(f".thumb[aria-label='{name}']").click()
        expect(shown).to_have_attribute("alt", name)
