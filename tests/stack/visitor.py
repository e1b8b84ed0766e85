"""A person at the page: what tests of the page do and see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import (
    Browser,
    Locator,
    Page,
    Request,
    Response,
    Route,
    expect,
)
from playwright.sync_api import Error as PlaywrightError

from tests.conftest import wait_for

LOAD_MS = 30_000
ANSWER_MS = 60_000
# Answers that are to come: a failed one counts down until it is asked for again.
AWAITED = ".waiting, .failure .counter:not(:empty)"
KEPT = """async table => {
    const opening = indexedDB.open("edge-vl");
    await new Promise(done => opening.onsuccess = done);
    const reading = opening.result.transaction(table).objectStore(table).getAll();
    await new Promise(done => reading.onsuccess = done);
    opening.result.close();
    return reading.result;
}"""


class Visitor:
    """The page at `url`, open in a browser of its own storage."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.box = page.locator("#composer textarea")
        self.stop = page.locator(".waiting").get_by_role("button").first

    def open(self, path: str = "") -> None:
        self.page.goto(f"{self.url}/{path}")
        self.wait_ready()

    def wait_ready(self) -> None:
        expect(self.page.locator("body.is-ready")).to_have_count(1, timeout=LOAD_MS)

    def choose(self, *paths: Path) -> None:
        """Chooses files with the button of the composer."""
        with self.page.expect_file_chooser() as chooser:
            self.page.locator("#composer .box button").first.click()
        chooser.value.set_files([str(path) for path in paths])

    def add(self, *paths: Path) -> None:
        """Chooses pictures, and waits until they are on the stage."""
        n = self.page.locator(".strip-picture").count()
        self.choose(*paths)
        expect(self.page.locator(".strip-picture")).to_have_count(n + len(paths))

    def ask(self, text: str, *pictures: Path) -> None:
        """Asks, and waits until the question and the place of its answer are seen."""
        if pictures:
            self.add(*pictures)
        n = self.page.locator(".answer").count()
        self.box.fill(text)
        self.box.press("Enter")
        expect(self.page.locator(".answer")).to_have_count(n + 1, timeout=LOAD_MS)

    def begin_long_answer(self, picture: Path) -> None:
        """Asks, and waits until a part of a long answer is there."""
        self.ask("Tell me everything about it", picture)
        wait_for(lambda: len(self.answers.last.inner_text()) > 100, 60)

    def until(self, condition: Callable[[], object], seconds: float) -> None:
        """Waits while the page goes on, also with what a test does to its requests."""
        wait_for(lambda: self.page.wait_for_timeout(50) or condition(), seconds)

    @property
    def answers(self) -> Locator:
        return self.page.locator(".answer > .markdown")

    def expect_answer(self, text: str) -> None:
        """The last answer is complete and is `text`."""
        expect(self.answers.last).to_have_text(text, timeout=ANSWER_MS)
        self.wait_done()

    def slow_pictures(self) -> None:
        """Loads the page again with a server that says that pictures take long: so a
        smaller one, and a part, are offered."""
        known: dict[str, Any] = {}

        def slower(route: Route) -> None:
            reply = route.fetch()
            status = reply.json()
            for model in status.get("models", []):
                model["pace"]["image_s"] = 0.05
                known.update(status)
            # without a model while a starved worker is away, for a moment
            route.fulfill(response=reply, json=known or status)

        self.page.route("**/v1/status", slower)
        self.page.reload()
        self.wait_ready()
        self.until(lambda: known, 30)

    def stop_all(self) -> None:
        """Ends all answers, one after the other."""
        stops = self.page.get_by_role("button", name="Stop", exact=True)
        while n := stops.count():
            with suppress(PlaywrightError):  # it may end by itself
                stops.first.click()
            self.until(lambda n=n: stops.count() < n, 30)
        self.wait_idle()

    def wait_done(self) -> None:
        expect(self.page.locator(AWAITED)).to_have_count(0, timeout=ANSWER_MS)

    def wait_idle(self) -> None:
        """Waits until the server has heard of all stops, and has ended all jobs: one
        that is left keeps a slot from later tests, for minutes, and a core busy."""
        self.until(lambda: not self.kept("jobs") and self._is_idle(), 40)

    def _is_idle(self) -> bool:
        now = httpx.get(f"{self.url}/v1/status", timeout=30).json()
        return bool(now.get("models")) and now["running"] + now["waiting"] == 0

    def state(self, job: str) -> str:
        """What the server says of a job."""
        ask = "job => fetch(`v1/jobs/${job}`).then(reply => reply.json())"
        said = self.page.evaluate(ask, job)
        return str(said.get("status", said))

    def posts(self) -> list[Request]:
        """The questions that the page sends from now on, without those that came while
        a starved worker was away for a moment: it sends them again."""
        sent: list[Request] = []

        def forget(reply: Response) -> None:
            if reply.status == 503 and reply.request in sent:
                sent.remove(reply.request)

        self.page.on("request", lambda r: r.method == "POST" and sent.append(r))
        self.page.on("response", forget)
        return sent

    def kept(self, table: str) -> list[Any]:
        """The rows of a table that the page keeps in the browser."""
        rows: list[Any] = self.page.evaluate(KEPT, table)
        return rows

    def kept_text(self) -> str:
        """The newest answer as it came: what is shown of its beginning may change with
        what follows, which may be the end of a formula."""
        answers = [one for one in self.kept("messages") if one["role"] == "assistant"]
        newest = max(answers, key=lambda one: one["created"], default={"text": ""})
        return str(newest["text"])


class Held:
    """Requests of this kind wait until they are let go; later ones do not."""

    def __init__(self, visitor: Visitor, pattern: str) -> None:
        self._routes: list[Route] = []
        self._visitor, self._page, self._pattern = visitor, visitor.page, pattern
        self._page.route(pattern, lambda route: self._routes.append(route))

    def wait(self, n: int = 1) -> None:
        """Returns when `n` of them wait."""
        self._visitor.until(lambda: len(self._routes) >= n, 40)

    def let_go(self) -> None:
        for route in self._routes:
            route.continue_()
        self._page.unroute(self._pattern)


@contextmanager
def visiting(browser: Browser, url: str, **options: Any) -> Iterator[Visitor]:
    """A visitor at the open page. An error in a script of the page fails the test."""
    context = browser.new_context(**options)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    visitor = Visitor(page, url)
    visitor.open()
    try:
        yield visitor
    except BaseException:
        with suppress(Exception):  # not what the test failed for
            visitor.stop_all()
        raise
    finally:
        for one in context.pages:  # a route that goes on would fail the next test
            one.unroute_all(behavior="ignoreErrors")
        context.close()
    assert errors == [], errors
