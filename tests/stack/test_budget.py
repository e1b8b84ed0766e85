"""What the page costs: requests, bytes, seconds. docs/page.md has the figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.stack.conftest import Stack, rounds
from tests.stack.visitor import Visitor

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.model]

FIRST = {"requests": 65, "bytes": 450_000}
AGAIN = {"requests": 5, "bytes": 20_000}
MOST_SHIFT = 0.05
SHIFT = """new Promise(done => {
  let sum = 0;
  new PerformanceObserver(list => {
    for (const one of list.getEntries()) if (!one.hadRecentInput) sum += one.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(sum), 500);
})"""


class Traffic:
    """What one page load brings over the wire."""

    def __init__(self, page: Page) -> None:
        self.n_requests = 0
        self.n_bytes = 0
        self.session: Any = page.context.new_cdp_session(page)
        self.session.send("Network.enable")
        self.session.on("Network.responseReceived", self._began)
        self.session.on("Network.requestServedFromCache", self._cached)
        self.session.on("Network.loadingFinished", self._ended)

    def _began(self, event: Any) -> None:
        response = event["response"]
        if response["url"].startswith("http") and not response.get("fromDiskCache"):
            self.n_requests += 1

    def _cached(self, event: Any) -> None:
        self.n_requests -= 1  # from memory

    def _ended(self, event: Any) -> None:
        self.n_bytes += event["encodedDataLength"]


def load(visitor: Visitor) -> Traffic:
    traffic = Traffic(visitor.page)
    visitor.open()
    visitor.page.wait_for_load_state("networkidle")
    traffic.session.detach()
    return traffic


def over_budget(browser: Browser, stack: Stack) -> list[str]:
    """What is too much at a first and a second visit."""
    page = browser.new_context().new_page()
    visitor = Visitor(page, stack.url)
    first, shift = load(visitor), page.evaluate(SHIFT)
    again, shift_again = load(visitor), page.evaluate(SHIFT)
    page.context.close()
    measured = {
        "first requests": (first.n_requests, FIRST["requests"]),
        "first bytes": (first.n_bytes, FIRST["bytes"]),
        "later requests": (again.n_requests, AGAIN["requests"]),
        "later bytes": (again.n_bytes, AGAIN["bytes"]),
        "shift": (max(shift, shift_again), MOST_SHIFT),
    }
    return [f"{name}: {n}" for name, (n, most) in measured.items() if n > most]


def test_first_and_second_visit_stay_within_the_budget(
    browser: Browser, stack: Stack
) -> None:
    for n_over in rounds(1):  # the page asks again for what a busy machine delays
        over = over_budget(browser, stack)
        n_over.append(len(over))
    assert over == []


def n_frames(browser: Browser, stack: Stack) -> int:
    """How many frames pass until the own question is seen."""
    page = browser.new_context().new_page()
    visitor = Visitor(page, stack.url)
    visitor.open()
    visitor.ask("How many shapes are there?")  # loads the room
    visitor.wait_done()
    page.route("**/v1/chat/completions", lambda route: None)  # never answers
    n: int = page.evaluate(
        """() => new Promise(done => {
          const box = document.querySelector("#composer textarea");
          box.value = "Which colour is it?";
          let n = 0;
          box.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
          const look = () => document.querySelectorAll(".bubble").length > 1
            ? done(n) : requestAnimationFrame(() => { n += 1; look(); });
          look();
        })"""
    )
    page.context.close()
    return n


def test_the_own_question_is_seen_at_once(browser: Browser, stack: Stack) -> None:
    """Within six frames, which are 100 ms, before any answer of the server."""
    for found in rounds(7):
        found.append(n_frames(browser, stack))
    assert min(found) <= 6


def test_fifty_turns_need_little_memory(
    browser: Browser, stack: Any, draw: Any, tmp_path: Path
) -> None:
    path = tmp_path / "disc.jpg"
    path.write_bytes(draw("red"))
    page = browser.new_context().new_page()
    visitor = Visitor(page, stack.url)
    visitor.open()
    visitor.ask("What shape is this?", path)
    for n in range(2, 51):
        visitor.box.fill("What shape is this?")
        visitor.box.press("Enter")
        expect(page.locator(".answer")).to_have_count(n, timeout=60_000)
    expect(page.locator(".waiting")).to_have_count(0, timeout=240_000)
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    heap = page.evaluate("performance.memory.usedJSHeapSize")
    page.context.close()
    assert heap < 20e6
