"""What the page asks again by itself, and what it takes back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Request, Response, Route, expect

from tests.stack.visitor import Held, Visitor, visiting

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.model]

ASKING = "**/v1/chat/completions"
PAUSE_S = 600  # longer than a test: it turns the clock of the browser


class Refusing:
    """A server that refuses the next `n` questions: the first for `PAUSE_S`."""

    def __init__(self, visitor: Visitor, n: int = 1) -> None:
        self._pauses = [PAUSE_S, 3, 3][:n]
        self._clock = visitor.page.clock
        self._clock.install()
        self.asked = visitor.posts()
        visitor.page.route(ASKING, self._answer)

    def end_pause(self) -> None:
        self._clock.fast_forward(PAUSE_S * 1000)

    def _answer(self, route: Route) -> None:
        if not self._pauses:
            return route.continue_()
        error = {"code": "queue_full", "message": "All places are taken."}
        route.fulfill(
            status=429,
            headers={"retry-after": str(self._pauses.pop(0))},
            json={"error": error},
        )
        return None


@pytest.mark.parametrize("then", ["stays", "reloads", "leaves"])
def test_a_refused_question_is_asked_again_wherever_the_person_is(
    browser, stack, then: str
) -> None:
    with visiting(browser, stack.url) as visitor:
        refusing = Refusing(visitor, n=2)
        visitor.ask("How much is two and two?")
        expect(visitor.page.locator(".failure")).to_contain_text("Asking again in")
        address = visitor.page.url
        if then == "reloads":
            visitor.page.reload()
            visitor.wait_ready()
            expect(visitor.page.locator(".failure")).to_contain_text("Asking again in")
        elif then == "leaves":
            visitor.page.locator("#bar .menu").click()
            visitor.page.get_by_role("button", name="New question").click()
            expect(visitor.page.locator(".answer")).to_have_count(0)
        refusing.end_pause()
        visitor.until(lambda: len(refusing.asked) == 3, 60)
        if then == "leaves":
            visitor.page.goto(address)
        visitor.until(lambda: visitor.answers.last.inner_text(), 60)
        visitor.wait_done()
        expect(visitor.page.locator(".failure")).to_have_count(0)
        assert len(refusing.asked) == 3


def test_a_question_in_line_waits_for_one_that_is_asked_again(browser, stack) -> None:
    with visiting(browser, stack.url) as visitor:
        refusing = Refusing(visitor)
        visitor.ask("How much is two and two?")
        expect(visitor.page.locator(".failure")).to_contain_text("Asking again in")
        visitor.ask("And three and three?")
        expect(visitor.page.get_by_text("Next: it is asked when").first).to_be_visible()
        refusing.end_pause()
        visitor.until(lambda: len(refusing.asked) == 3, 60)
        visitor.wait_done()
        n_messages = [len(one.post_data_json["messages"]) for one in refusing.asked]
        assert n_messages == [1, 1, 3]  # it knows the first answer


def test_a_question_that_another_tab_asks_is_left_to_it(browser, stack) -> None:
    with visiting(browser, stack.url) as visitor:
        refusing = Refusing(visitor)
        visitor.ask("How much is two and two?")
        expect(visitor.page.locator(".failure")).to_contain_text("Asking again in")
        other = visitor.page.context.new_page()
        other.goto(visitor.page.url)
        other.get_by_role("button", name="Ask now").click()
        expect(other.locator(".failure")).to_have_count(0)
        Visitor(other, stack.url).wait_done()
        refusing.end_pause()  # of the first tab
        visitor.page.wait_for_timeout(2000)
        assert len(refusing.asked) == 1
        expect(visitor.page).to_have_title("Edge-VL")  # nothing is counted any more
        visitor.wait_done()
        assert visitor.answers.last.inner_text()


@pytest.mark.parametrize("how", ["now", "stop", "escape"])
def test_a_person_asks_sooner_or_not_at_all(browser, stack, how: str) -> None:
    with visiting(browser, stack.url) as visitor:
        refusing = Refusing(visitor)
        visitor.ask("How much is two and two?")
        failure = visitor.page.locator(".failure")
        expect(failure).to_contain_text("Asking again in")
        if how == "now":
            failure.get_by_role("button", name="Ask now").click()
            visitor.until(lambda: len(refusing.asked) == 2, 30)
            visitor.wait_done()
            return
        if how == "stop":
            failure.get_by_role("button", name="Stop").click()
        else:
            visitor.page.keyboard.press("Escape")
        expect(visitor.page.get_by_text("Stopped.")).to_be_visible()
        refusing.end_pause()
        visitor.page.wait_for_timeout(2000)
        assert len(refusing.asked) == 1
        expect(visitor.page.get_by_text("Stopped.")).to_be_visible()


def test_thoughts_and_text_of_an_answer_that_failed_are_not_kept(
    browser, stack
) -> None:
    """It lost its worker in the middle, and is asked for again from its beginning."""
    error = {"code": "worker_lost", "message": "Lost.", "retry_after_s": PAUSE_S}
    deltas: list[dict[str, Any]] = [
        {"choices": [{"delta": {"reasoning_content": "Hm, two"}}]},
        {"choices": [{"delta": {"content": "Half an answer"}}]},
        {"error": error},
    ]
    lines = [f"id: {n}\ndata: {json.dumps(one)}\n\n" for n, one in enumerate(deltas)]
    with visiting(browser, stack.url) as visitor:
        clock = visitor.page.clock
        clock.install()
        is_first = True

        def answer(route: Route) -> None:
            nonlocal is_first
            if not is_first:
                return route.continue_()
            is_first = False
            route.fulfill(body="".join(lines), content_type="text/event-stream")
            return None

        visitor.page.route(ASKING, answer)
        visitor.ask("How much is two and two?")
        expect(visitor.page.locator(".failure")).to_contain_text("Asking again in")
        expect(visitor.page.get_by_text("Half an answer")).to_be_visible()
        expect(visitor.page.get_by_text("Thoughts")).to_be_visible()
        clock.fast_forward(PAUSE_S * 1000)
        visitor.wait_done()
        expect(visitor.page.locator(".failure")).to_have_count(0)
        expect(visitor.page.get_by_text("Thoughts")).to_be_hidden()
        assert visitor.answers.last.inner_text()
        assert "Half" not in visitor.answers.last.inner_text()


def test_a_question_that_got_lost_is_asked_once_more_and_not_twice(
    browser, talkative, pictures
) -> None:
    """It is asked in a smaller size while nobody knows whether it has arrived."""
    with visiting(browser, talkative.url) as visitor:
        visitor.slow_pictures()
        asked = visitor.posts()

        def is_small(request: Request) -> bool:
            return '"low"' in (request.post_data or "")

        def lose(route: Route) -> None:
            route.continue_() if is_small(route.request) else route.abort()

        visitor.page.route(ASKING, lose)
        visitor.ask("Tell me everything about it", pictures[0])
        expect(visitor.page.get_by_text("The connection is lost").first).to_be_visible()
        visitor.page.get_by_role("button", name="Sooner").click()
        visitor.until(lambda: len(visitor.answers.last.inner_text()) > 100, 60)
        visitor.stop.click()
        expect(visitor.page.get_by_text("Stopped after")).to_be_visible()
        n_asked = len(asked)
        visitor.page.wait_for_timeout(7000)  # a tab looks for jobs meanwhile
        assert len(asked) == n_asked
        assert sum(map(is_small, asked)) == 1
        expect(visitor.page.get_by_text("Stopped after")).to_be_visible()
        visitor.wait_idle()


def test_sooner_ends_a_question_whose_job_has_no_name_yet(
    browser, talkative, pictures
) -> None:
    with visiting(browser, talkative.url) as visitor:
        visitor.slow_pictures()
        jobs: dict[bool, str] = {}

        def name(reply: Response) -> None:
            if reply.request.method == "POST":
                is_small = '"low"' in (reply.request.post_data or "")
                jobs[is_small] = reply.headers.get("x-job-id", "")  # or a refusal

        visitor.page.on("response", name)
        asking = Held(visitor, ASKING)
        visitor.ask("Tell me everything about it", pictures[0])
        asking.wait()
        visitor.page.get_by_role("button", name="Sooner").click()
        asking.wait(2)
        asking.let_go()
        visitor.until(lambda: False in jobs and jobs.get(True), 60)
        first, small = jobs[False], jobs[True]
        visitor.until(lambda: not first or visitor.state(first) == "cancelled", 30)
        assert visitor.state(small) in ("waiting", "running", "finished")
        visitor.stop_all()
