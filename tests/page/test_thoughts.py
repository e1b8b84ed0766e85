"""The thoughts of a model that thinks, on the page: folded, kept, and never sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.faults.conftest import ready
from tests.faults.service import Service
from tests.page.test_states import LOOKS, Seen
from tests.stack.visitor import visiting

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.faults]

THOUGHTS = "The picture is a disc. **Is it round?** It is, and its colour is that of a "
THOUGHTS += "cherry: so far nothing speaks against red."


@pytest.fixture(scope="module")
def thinking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    worker = ("--thoughts", THOUGHTS, "--step-s", "0.04")
    folder = tmp_path_factory.mktemp("thoughts")
    one = Service(folder, with_nginx=True, worker=worker)
    try:
        ready(one, seconds=120)
        yield one
    finally:
        one.stop()


@pytest.fixture(params=LOOKS)
def seen(
    request: pytest.FixtureRequest, browser: Browser, thinking: Service
) -> Iterator[Seen]:
    with visiting(browser, thinking.url, **LOOKS[request.param]) as visitor:
        yield Seen(request.param, visitor)


def test_thoughts_are_folded_above_the_answer_and_never_sent(
    seen: Seen, thinking: Service
) -> None:
    posted: list[Any] = []
    page = seen.page
    page.on("request", lambda r: r.method == "POST" and posted.append(r.post_data_json))
    block = page.locator(".answer .thoughts")
    title = block.locator("summary")
    stage = page.locator(".waiting li.now")
    with thinking.slowly():
        seen.visitor.ask("What is it?")
        expect(title).to_contain_text(seen.text("thoughts"), timeout=60_000)
        expect(stage).to_contain_text(seen.text("stage_prefill"))
        expect(block.locator(".markdown")).to_be_hidden()
        seen.shoot("thinking")
        title.click()
    expect(block.locator("strong")).to_have_text("Is it round?", timeout=60_000)
    seen.visitor.wait_done()
    expect(page.locator(".answer > .markdown")).to_have_text("It is red.")
    expect(block).to_contain_text("speaks against red.")
    seen.shoot("thoughts")
    page.reload()  # they are kept
    seen.visitor.wait_ready()
    expect(page.locator(".answer > .markdown")).to_have_text("It is red.")
    expect(title).to_contain_text(seen.text("thoughts"))
    seen.visitor.ask("And its shape?")
    seen.visitor.wait_done()
    said = [(m["role"], m["content"]) for m in posted[-1]["messages"]]
    assert said == [
        ("user", "What is it?"),
        ("assistant", "It is red."),
        ("user", "And its shape?"),
    ]


def test_an_answer_that_is_stopped_while_it_thinks_keeps_its_thoughts(
    seen: Seen, thinking: Service
) -> None:
    title = seen.page.locator(".answer .thoughts summary")
    with thinking.slowly():
        seen.visitor.ask("What is it?")
        expect(title).to_contain_text(seen.text("thoughts"), timeout=60_000)
        seen.visitor.stop.click()
    seen.visitor.wait_done()
    expect(seen.page.locator(".answer .note")).to_have_text(seen.text("stopped"))
    expect(title).to_be_visible()
