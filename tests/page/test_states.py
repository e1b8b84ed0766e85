"""Every state of the page that a person meets, over real processes with a stub engine.

Each is looked at in two ways, on a desk in English and light, on a phone in Chinese and
dark; pictures of all of them are written to `tests/page/shots`, to be looked at.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.conftest import wait_for
from tests.faults.asking import body
from tests.faults.conftest import ready
from tests.faults.service import Service
from tests.stack.conftest import drawing
from tests.stack.visitor import Visitor, visiting

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.faults]

ROOT = Path(__file__).parents[2]
SHOTS = Path(__file__).with_name("shots")
LOOKS: dict[str, dict[str, Any]] = {
    "desk": {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB"},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "locale": "zh-CN",
        "color_scheme": "dark",
        "has_touch": True,
        "is_mobile": True,
        "device_scale_factor": 2,
    },
}
TEXTS = {
    look: json.loads((ROOT / f"ui/page/words/{tag}.json").read_text())
    for look, tag in {"desk": "en", "phone": "zh-CN"}.items()
}
AXE = ROOT / "ui/page/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class Seen:
    """A visitor in one of the two looks."""

    def __init__(self, look: str, visitor: Visitor) -> None:
        self.look = look
        self.visitor = visitor
        self.page = visitor.page

    def text(self, key: str) -> str:
        return str(TEXTS[self.look][key])

    def start_of(self, key: str) -> str:
        """The text up to its first place."""
        return self.text(key).partition("{")[0].strip()

    def button(self, key: str) -> Any:
        return self.page.get_by_role("button", name=self.start_of(key)).last

    def shoot(self, name: str) -> None:
        """Writes the picture, and finds nothing that shuts somebody out."""
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}-{self.look}.png")
        width = self.page.evaluate("document.documentElement.scrollWidth")
        assert width <= LOOKS[self.look]["viewport"]["width"], "wider than the window"
        if AXE.exists():
            assert violations(self.page) == {}


def violations(page: Any) -> dict[str, list[str]]:
    """What axe-core finds, as rule and places."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    found = page.evaluate("rules => axe.run({runOnly: rules})", RULES)
    return {
        one["id"]: [node["html"][:160] for node in one["nodes"]]
        for one in found["violations"]
    }


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two slots, three seconds for a picture, answers of three seconds, then cut."""
    worker = ("--tower", "eye", "--tower-s", "3", "--step-s", "0.02")
    settings = {"answer_tokens": "400", "backlog": "4", "context_tokens": "16000"}
    one = Service(
        tmp_path_factory.mktemp("states"), with_nginx=True, worker=worker, **settings
    )
    try:
        ready(one, seconds=120)
        yield one
    finally:
        one.stop()


@pytest.fixture(params=LOOKS)
def seen(
    request: pytest.FixtureRequest, browser: Browser, service: Service
) -> Iterator[Seen]:
    look = request.param
    with visiting(browser, service.url, **LOOKS[look]) as visitor:
        yield Seen(look, visitor)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "disc.jpg"
    path.write_bytes(drawing("red"))
    return path


@pytest.fixture
def crowd(service: Service) -> Iterator[Callable[[int], None]]:
    """Others who ask at the same time, by the API, until the test ends."""
    leaving = threading.Event()
    asking: list[threading.Thread] = []

    def one() -> None:
        while not leaving.is_set():  # they ask again: their places stay taken
            with suppress(httpx.HTTPError):
                ask_once()
            leaving.wait(0.2)

    def ask_once() -> None:
        long = body("hello", 4000)
        with httpx.stream(
            "POST", service.url + "/v1/chat/completions", json=long, timeout=60
        ) as response:
            for _ in response.iter_lines():
                if leaving.is_set():
                    return

    with ExitStack() as staying:

        def come(n: int) -> None:
            staying.enter_context(service.slowly())
            for _ in range(n):
                asking.append(threading.Thread(target=one))
                asking[-1].start()
            wait_for(lambda: service.n_live() >= n)

        yield come
        leaving.set()
    for thread in asking:
        thread.join(60)
    wait_for(lambda: service.n_live() == 0)


def test_the_first_page(seen: Seen) -> None:
    expect(seen.page.locator(".example").first).to_be_visible()
    expect(seen.page.locator("html")).to_have_attribute(
        "lang", {"desk": "en", "phone": "zh-CN"}[seen.look]
    )
    seen.shoot("empty")
    seen.button("more").click()
    expect(seen.page.locator("dialog.more")).to_be_visible()
    seen.shoot("more")
    seen.page.keyboard.press("Escape")
    expect(seen.page.locator("dialog.more")).to_have_count(0)


def test_from_the_picture_to_a_cut_answer(
    seen: Seen, service: Service, photo: Path
) -> None:
    visitor = seen.visitor
    visitor.add(photo)
    seen.shoot("attached")
    card = seen.page.locator(".waiting")
    stage = card.locator("li.now")
    with service.slowly():
        with service.looking():
            visitor.box.fill("What is it?")
            visitor.box.press("Enter")
            expect(card).to_be_visible()
            expect(stage).to_contain_text(seen.text("stage_encode"))
            expect(seen.page).to_have_title(re.compile(r"\(≈ .+\) Edge-VL"))
            seen.shoot("looking")
        expect(stage).to_contain_text(seen.text("stage_decode"), timeout=60_000)
        expect(visitor.answers).to_contain_text("0 1 2 3", timeout=60_000)
        visitor.ask("And then?")  # lines up
        expect(seen.page.get_by_text(seen.text("lined_up")).first).to_be_visible()
        seen.shoot("writing")
    visitor.wait_done()
    expect(seen.page.get_by_text(seen.text("cut")).first).to_be_visible()
    seen.shoot("cut")
    seen.button("go_on").click()
    expect(visitor.answers).to_have_count(3)
    visitor.stop.click()
    expect(card).to_have_count(0)
    seen.shoot("stopped")
    seen.button("edit").click()
    expect(seen.page.locator(".editing")).to_be_visible()
    below = """async () => {
        const talk = document.getElementById("talk");
        for (let n = 0; n < 2; n++) await new Promise(requestAnimationFrame);
        return talk.scrollHeight - talk.scrollTop - talk.clientHeight;
    }"""
    assert seen.page.evaluate(below) < 2  # the composer has grown over nothing
    seen.shoot("editing")


def test_a_place_in_the_queue_counts(
    seen: Seen, crowd: Callable[[int], None], photo: Path
) -> None:
    crowd(2)
    seen.visitor.ask("What is it?", photo)
    card = seen.page.locator(".waiting")
    expect(card.locator("li.now")).to_contain_text(
        seen.text("place").format(n=1), timeout=60_000
    )
    seen.shoot("queue")


def test_a_full_queue_asks_again_by_itself(
    seen: Seen, crowd: Callable[[int], None]
) -> None:
    crowd(3)
    card = seen.page.locator(".failure")
    # half of the places are this address's, and the crowd has them
    seen.visitor.ask("What is it?")
    expect(card).to_be_visible(timeout=60_000)
    expect(card.locator(".counter")).not_to_be_empty()
    seen.shoot("full")
    seen.page.locator(".server-button").click()
    expect(seen.page.locator("#server h2")).to_be_visible()
    with seen.page.expect_request(lambda r: r.method == "POST", timeout=120_000):
        pass
    seen.page.locator("#server header button").click()  # it is still the way back
    expect(seen.page.locator("#server h2")).to_be_hidden()


def test_wrong_files_are_found_when_they_are_chosen(
    seen: Seen, photo: Path, tmp_path: Path
) -> None:
    fake, pdf = tmp_path / "fake.jpg", tmp_path / "offer.pdf"
    fake.write_bytes(b"<html>not a picture</html>" * 4)
    pdf.write_bytes(b"%PDF-1.7 " + b"x" * 100)
    hint = seen.page.locator(".hint")
    damaged = "This PDF is damaged or cut off. Save it again."
    for path, key in {fake: "picture.not_a_picture", pdf: "picture.pdf"}.items():
        seen.visitor.choose(path)
        text = seen.text(key).format(name=path.name, message=damaged)
        expect(hint).to_have_text(text)
    seen.shoot("wrong-file")
    seen.visitor.ask("What is it?", photo)  # the conversation is as good as before
    expect(seen.visitor.answers).to_contain_text("0 1 2", timeout=60_000)
    seen.visitor.wait_done()


def test_nine_pictures_are_eight(seen: Seen, tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.jpg" for n in range(9)]
    for n, path in enumerate(paths):
        path.write_bytes(drawing("red", n, size=(320, 240)))
    seen.visitor.choose(*paths)
    expect(seen.page.locator(".strip-picture")).to_have_count(8)
    expect(seen.page.locator(".hint")).to_have_text(
        seen.text("too_many_pictures").format(n=8)
    )
    seen.shoot("nine")


def test_a_picture_that_is_gone_is_said_to_be_gone(seen: Seen, photo: Path) -> None:
    seen.visitor.ask("What is it?", photo)
    seen.visitor.wait_done()
    seen.page.evaluate(
        """() => new Promise((done) => {
          const opening = indexedDB.open("edge-vl");
          opening.onsuccess = () => {
            const change = opening.result.transaction("pictures", "readwrite");
            change.objectStore("pictures").clear();
            change.oncomplete = done;
          };
        })"""
    )
    seen.visitor.ask("And where is it?")
    card = seen.page.locator(".failure")
    expect(card).to_contain_text("disc.jpg")
    expect(seen.visitor.answers.last).to_have_text("")  # no word about no picture
    seen.shoot("picture-gone")
    seen.button("remedy_without").click()
    expect(card).to_have_count(0)
    seen.visitor.wait_done()


def test_what_the_page_says_is_never_sent_to_the_model(
    seen: Seen, crowd: Callable[[int], None]
) -> None:
    if seen.look == "phone":
        pytest.skip("the same code")
    posted: list[Any] = []
    seen.page.on(
        "request", lambda r: r.method == "POST" and posted.append(r.post_data_json)
    )
    crowd(2)
    seen.visitor.ask("first")
    expect(seen.page.locator(".waiting li.now")).to_contain_text("number 1")
    seen.visitor.stop.click()
    seen.visitor.wait_done()
    expect(seen.page.locator(".answer")).not_to_contain_text("number")
    expect(seen.page.locator(".answer .note")).to_have_text(seen.text("stopped"))
    with seen.page.expect_request(lambda r: r.method == "POST"):
        seen.visitor.ask("second")
    assert [(m["role"], m["content"]) for m in posted[-1]["messages"]] == [
        ("user", "second")
    ]
    seen.visitor.stop.click()


def test_a_dying_worker_ends_nothing(seen: Seen, service: Service, photo: Path) -> None:
    seen.visitor.ask("What is it?", photo)
    expect(seen.visitor.answers).to_contain_text("0 1 2 3", timeout=60_000)
    service.send("worker0")
    # by the server, or asked again by the page
    expect(seen.visitor.answers).to_contain_text("100 101", timeout=120_000)
    assert seen.visitor.answers.inner_text().startswith("0 1 2 3 4 5 6 7")
    ready(service, seconds=120)


def test_a_web_process_that_dies_ends_nothing(
    seen: Seen, service: Service, photo: Path
) -> None:
    with service.slowly():
        seen.visitor.ask("What is it?", photo)
        expect(seen.visitor.answers).to_contain_text("0 1 2 3", timeout=60_000)
        service.send("web0")
        lost = seen.page.get_by_text(seen.text("connection_lost")).first
        expect(lost).to_be_visible()
    seen.shoot("connection-lost")
    seen.visitor.wait_done()
    text = seen.visitor.answers.inner_text()
    assert text.startswith("0 1 2 3 4 5 6 7") and text.count("0 1 2 3 ") == 1
    ready(service, seconds=120)


def test_without_a_worker_the_notice_comes_and_goes(
    seen: Seen, service: Service
) -> None:
    name = "worker0"
    gone = service.leave_dead(name)
    gone.stop(in_a_hurry=lambda: True)
    notice = seen.page.locator(".notice")
    try:
        expect(notice).to_have_text(seen.text("error_no_worker"), timeout=90_000)
        seen.visitor.ask("Is anybody there?")
        card = seen.page.locator(".failure")
        expect(card).to_contain_text(seen.text("error_no_worker"))
        seen.shoot("no-worker")
    finally:
        service.add_worker(name, "--tower", "eye", "--tower-s", "3", "--step-s", "0.02")
        ready(service, seconds=120)
    expect(notice).not_to_have_text(seen.text("error_no_worker"), timeout=60_000)
    expect(seen.visitor.answers).to_contain_text("0 1 2", timeout=60_000)
    seen.visitor.wait_done()


def test_offline_is_said_and_the_question_kept(seen: Seen) -> None:
    seen.visitor.ask("hello")
    expect(seen.visitor.answers).to_contain_text("0 1 2")
    seen.visitor.wait_done()
    seen.page.context.set_offline(True)
    expect(seen.page.locator(".notice")).to_have_text(seen.text("error_offline"))
    seen.visitor.ask("And then?")
    expect(seen.page.get_by_text(seen.text("connection_lost")).first).to_be_visible()
    seen.shoot("offline")
    seen.page.context.set_offline(False)
    expect(seen.visitor.answers).to_have_count(2)
    seen.visitor.wait_done()
    expect(seen.visitor.answers.last).to_contain_text("0 1 2")


def test_scrolling_up_is_never_fought(seen: Seen) -> None:
    seen.page.set_viewport_size({"width": 390, "height": 560})
    seen.visitor.ask("hello")
    seen.visitor.wait_done()
    seen.visitor.ask("and again")
    seen.visitor.wait_done()
    seen.visitor.ask("and again, longer")
    expect(seen.visitor.answers.last).to_contain_text("0 1 2")
    seen.page.evaluate("document.querySelector('#talk').scrollTop = 0")
    time.sleep(1.5)
    assert seen.page.evaluate("document.querySelector('#talk').scrollTop") == 0
    seen.button("to_end").click()
    expect(seen.page.locator(".to-end")).to_be_hidden()
    seen.visitor.wait_done()


def test_the_history_asks_before_it_removes(seen: Seen) -> None:
    seen.visitor.ask("a question to be removed")
    seen.visitor.wait_done()
    seen.page.locator(".menu").click()
    entry = seen.page.locator("#history").get_by_text("a question to be removed")
    expect(entry).to_be_visible()
    seen.page.locator("#history [data-action=remove]").first.click()
    seen.shoot("history")
    if seen.look == "phone":  # the list leaves room to leave it
        seen.page.mouse.click(380, 420)
        expect(entry).to_be_hidden()
        seen.page.locator(".menu").click()
    seen.page.clock.install(time=0)
    seen.page.clock.pause_at(3600)  # it can be undone for ten seconds
    seen.page.locator("#history [data-action=yes]").click()
    expect(entry).to_have_count(0)
    seen.page.get_by_role("button", name=seen.text("undo")).click()
    expect(entry).to_be_visible()


def test_this_server(seen: Seen) -> None:
    seen.page.locator(".server-button").click()
    expect(seen.page.locator("#server h2")).to_be_visible()
    expect(seen.page.locator("#server pre").first).to_contain_text("curl http")
    seen.shoot("server")
    seen.page.go_back()
    expect(seen.page.locator("#composer")).to_be_visible()


@pytest.mark.parametrize("way", ["close", "Escape", "server-button", "menu"])
def test_from_this_server_one_comes_back_to_the_conversation(
    seen: Seen, way: str
) -> None:
    seen.visitor.ask("a question to come back to")
    seen.page.locator(".server-button").click()
    expect(seen.page.locator("#server h2")).to_be_visible()
    if way == "close":
        seen.page.locator("#server header button").click()
    elif way == "Escape":
        seen.page.keyboard.press("Escape")
    else:
        seen.page.locator(f".{way}").click()
    expect(seen.page.locator("#server h2")).to_be_hidden()
    expect(seen.page.locator(".question .bubble")).to_be_visible()
    if way == "menu":
        expect(seen.page.locator("#history input").first).to_be_visible()
    seen.visitor.wait_done()


def test_long_paste_stays_a_question(seen: Seen) -> None:
    text = "word " * 1200
    seen.visitor.box.focus()
    seen.page.keyboard.insert_text(text)
    expect(seen.visitor.box).to_have_value(text)
    seen.visitor.box.press("Enter")
    expect(seen.visitor.answers).to_contain_text("0 1 2", timeout=60_000)
    seen.visitor.wait_done()
