"""The page in a real browser, over the whole system: ask, wait, stop, come back."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.conftest import wait_for
from tests.stack.visitor import ANSWER_MS, visiting

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.model]

SHAPE = "What shape is this, and which colour?"


@pytest.fixture
def picture(draw, tmp_path: Path) -> Path:
    path = tmp_path / "disc.jpg"
    path.write_bytes(draw("red"))
    return path


@pytest.fixture
def square(draw, tmp_path: Path) -> Path:
    path = tmp_path / "square.jpg"
    path.write_bytes(draw("blue", shape="square"))
    return path


def test_a_question_about_a_picture_is_answered(browser, stack, picture) -> None:
    with visiting(browser, stack.url) as visitor:
        hosts: set[str] = set()
        visitor.page.on(
            "request",
            lambda r: r.url.startswith("http") and hosts.add(r.url.split("/")[2]),
        )
        visitor.ask(SHAPE, picture)
        visitor.expect_answer("A red circle.")
        expect(visitor.page.locator(".measured")).to_contain_text("3 words")
        visitor.ask("Where is it?")  # a follow-up about the same picture
        visitor.expect_answer("At the top left.")
        assert hosts <= {stack.url.removeprefix("http://")}


def test_one_request_asks_a_question(browser, stack, picture) -> None:
    with visiting(browser, stack.url) as visitor:
        visitor.ask("How many shapes are there?", picture)
        visitor.wait_done()
        asked = visitor.posts()
        visitor.ask("Is there a blue square?")
        expect(visitor.answers).to_have_count(2)
        visitor.wait_done()
        assert [one.url for one in asked] == [f"{stack.url}/v1/chat/completions"]


def test_text_grows_and_stop_stops_the_engine(browser, slow_stack, picture) -> None:
    with visiting(browser, slow_stack.url) as visitor:
        visitor.ask("Tell me all about it", picture)
        text = visitor.answers.last.inner_text
        wait_for(lambda: len(text().split()) > 10, 60)
        early, began = len(text()), time.monotonic()
        wait_for(lambda: len(text()) > early + 2000, 60)
        whole_s = 30 * (time.monotonic() - began)  # of an answer of 20 000 tokens
        visitor.stop.click()
        expect(visitor.page.get_by_text("Stopped after")).to_be_visible()
        # the one slot is free again: a short question does not wait for the rest
        started = time.monotonic()
        body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}
        reply = slow_stack.post("/v1/chat/completions", body)
        assert reply.json()["choices"][0]["message"]["content"]
        assert time.monotonic() - started < max(15, whole_s / 2)


def test_a_reload_in_mid_answer_loses_nothing(browser, slow_stack, picture) -> None:
    with visiting(browser, slow_stack.url) as visitor:
        visitor.ask("Tell me everything about it", picture)
        text = visitor.answers.last.inner_text
        wait_for(lambda: len(visitor.kept_text()) > 100, 60)
        before, n_shown = visitor.kept_text(), len(text())
        visitor.page.reload()
        visitor.wait_ready()
        wait_for(lambda: len(text()) > n_shown + 50, 60)
        assert visitor.kept_text().startswith(before[:60])
        expect(visitor.page.locator(".stage-picture img")).to_be_visible()
        visitor.stop_all()


def test_a_second_question_waits_for_the_first_answer(browser, stack, square) -> None:
    with visiting(browser, stack.url) as visitor:
        visitor.ask(SHAPE, square)
        visitor.ask("Where is it?")  # the composer is never locked
        expect(visitor.answers).to_have_count(2)
        visitor.wait_done()
        expect(visitor.answers.first).to_have_text("A blue square.")
        expect(visitor.answers.last).to_have_text("At the top left.")


def test_again_and_edit_keep_the_earlier_branches(browser, stack, picture) -> None:
    with visiting(browser, stack.url) as visitor:
        visitor.ask(SHAPE, picture)
        visitor.expect_answer("A red circle.")
        visitor.page.get_by_role("button", name="Again", exact=True).click()
        of_two = visitor.page.get_by_text("2 of 2")
        expect(of_two).to_be_visible(timeout=ANSWER_MS)  # below its answer
        visitor.wait_done()
        visitor.page.get_by_role("button", name="Edit").click()
        expect(visitor.box).to_have_value(SHAPE)
        visitor.box.fill("Where is it?")
        visitor.box.press("Enter")
        visitor.expect_answer("At the top left.")
        visitor.page.get_by_role("button", name="Earlier version").first.click()
        expect(visitor.page.locator(".bubble")).to_have_text(SHAPE)


def test_an_empty_question_makes_no_job(browser, stack) -> None:
    with visiting(browser, stack.url) as visitor:
        visitor.box.fill("   ")
        visitor.box.press("Enter")
        expect(visitor.page.locator(".hint")).to_have_text(
            "Write a question or add a picture."
        )
        expect(visitor.answers).to_have_count(0)


def test_markup_in_a_question_is_not_executed(browser, stack) -> None:
    with visiting(browser, stack.url) as visitor:
        typed = "<img src=x onerror=\"document.title='pwned'\"> if a<b and c>d then"
        visitor.ask(typed)
        expect(visitor.page.locator(".bubble")).to_have_text(typed)
        visitor.wait_done()
        assert visitor.page.title() != "pwned"
        assert not visitor.page.locator(".turns img").count()


def test_the_command_for_programs_sends_a_picture_of_any_size(
    browser, stack, draw, tmp_path
) -> None:
    large = draw("red") + bytes(300_000)  # more than an argument of a command may have
    (tmp_path / "picture.jpg").write_bytes(large)
    with visiting(browser, stack.url) as visitor:
        visitor.box.fill("What is in it? I paid $5, `ls`, a\\\\b and 'so' \"on\".")
        visitor.page.locator(".server-button").click()
        command = visitor.page.locator("#server pre").first.inner_text()
    for _ in range(60):  # a starved worker is soon back
        answer = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, capture_output=True, timeout=120
        ).stdout
        if not any(code in answer for code in (b"no_worker", b"service_unavailable")):
            break
        time.sleep(1)
    assert "choices" in json.loads(answer)
