"""What dies, and what a person at the page then still has: everything."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest
from playwright.sync_api import Route, expect

from tests.conftest import wait_for
from tests.stack.conftest import Stack, running
from tests.stack.visitor import Visitor, visiting

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.model]

SHAPE = "What shape is this, and which colour?"
AGAIN_MS = 180_000  # parts start again, on two busy cores


@pytest.fixture(scope="module")
def mortal(edge: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose parts are killed."""
    with running(edge, tmp_path_factory.mktemp("mortal"), slots="2") as one:
        yield one


def test_all_parts_die_and_each_picture_gets_its_answer(
    browser, mortal, pictures
) -> None:
    with visiting(browser, mortal.url) as visitor:
        # so that the first question still waits when all dies; for the second one
        # there may be no worker already
        mortal.child("-m", "worker").send_signal(signal.SIGSTOP)
        for picture in pictures:
            visitor.open()
            visitor.ask(SHAPE, picture)
            expect(visitor.page.locator(".answer")).to_be_visible()
        for child in mortal.children():
            with suppress(psutil.NoSuchProcess):  # it went with its parent
                child.kill()
        expect(visitor.answers).to_have_text("A blue square.", timeout=AGAIN_MS)
        visitor.page.locator("#bar .menu").click()
        visitor.page.locator(".history-open").nth(1).click()
        expect(visitor.answers).to_have_text("A red circle.", timeout=AGAIN_MS)
        visitor.page.reload()
        visitor.wait_ready()
        visitor.expect_answer("A red circle.")


def test_a_question_outlives_a_page_that_is_left_as_soon_as_it_shows(
    browser, talkative, pictures
) -> None:
    leave = """() => new MutationObserver(() => {
        if (!document.querySelector(".answer") || window.isLeft) return;
        window.isLeft = true;
        location.reload();
    }).observe(document.body, {childList: true, subtree: true})"""
    with visiting(browser, talkative.url) as visitor:
        visitor.add(pictures[0])
        visitor.page.evaluate(leave)
        visitor.box.fill("Tell me everything about it")
        with visitor.page.expect_navigation():
            visitor.box.press("Enter")
        visitor.wait_ready()
        expect(visitor.answers).to_contain_text("e", timeout=AGAIN_MS)
        visitor.stop_all()


@pytest.mark.parametrize("part", ["ui", "worker", "broker"])
def test_an_answer_goes_on_when_a_part_dies(
    browser, talkative, pictures, part: str
) -> None:
    with visiting(browser, talkative.url) as visitor:
        visitor.ask("Tell me everything about it", pictures[0])
        text = visitor.answers.last.inner_text
        wait_for(lambda: len(visitor.kept_text()) > 60, 60)
        before, n_shown = visitor.kept_text(), len(text())
        part_of(talkative, part).kill()
        wait_for(lambda: len(text()) > n_shown + 400, 120)
        if part != "worker":  # without it the page asks again, from the beginning
            assert visitor.kept_text().startswith(before[:60])
        visitor.stop_all()
        expect(visitor.page.get_by_text("Stopped after")).to_be_visible()


def test_a_question_that_is_stopped_at_once_leaves_no_job(
    browser, talkative, pictures
) -> None:
    """Before the page knows the name of its job: no worker has looked at it."""
    worker = talkative.child("-m", "worker")
    with visiting(browser, talkative.url) as visitor:
        jobs: list[str] = []
        page = visitor.page
        page.on(
            "response", lambda r: jobs.extend(r.headers.get("x-job-id", "").split())
        )
        visitor.add(pictures[0])
        worker.send_signal(signal.SIGSTOP)
        try:
            visitor.ask("Tell me everything about it")
            page.wait_for_timeout(700)  # it is in the queue, or was refused: too late
            page.get_by_role("button", name="Stop", exact=True).first.click()
            expect(page.get_by_text("Stopped.")).to_be_visible()
            page.wait_for_timeout(3000)
        finally:
            worker.send_signal(signal.SIGCONT)
        visitor.wait_idle()
        page.wait_for_timeout(6000)  # nor does a tab ask it again
        visitor.wait_idle()
        assert {visitor.state(job) for job in jobs} <= {"cancelled"}
        expect(page.get_by_text("Stopped.")).to_be_visible()


@pytest.mark.parametrize("then", ["stays", "leaves", "again"])
def test_a_stop_that_the_server_did_not_hear_is_told_again(
    browser, talkative, pictures, then: str
) -> None:
    lost: list[str] = []

    def lose(route: Route) -> None:
        lost.append(route.request.url)
        route.abort()

    with visiting(browser, talkative.url) as visitor:
        page = visitor.page
        page.context.route("**/v1/jobs/*", lose)
        visitor.begin_long_answer(pictures[0])
        visitor.stop.click()
        expect(page.get_by_text("Stopped after")).to_be_visible()
        visitor.until(lambda: lost, 20)
        if then == "leaves":
            page = page.context.new_page()
            visitor.page.close()
            page.goto(talkative.url)
        page.context.unroute("**/v1/jobs/*")
        if then == "again":
            page.get_by_role("button", name="Again").click()
        ask = "url => fetch(url).then(reply => reply.json())"

        def is_cancelled() -> bool:
            said = page.evaluate(ask, lost[0])
            if "status" not in said:
                print("no state of the job:", said)  # for a test that fails
            return said.get("status") == "cancelled"

        wait_for(is_cancelled, 60)
        if then == "again":  # the page follows only the second one
            expect(visitor.stop).to_be_visible()
            visitor.stop.click()
        Visitor(page, talkative.url).wait_idle()


def test_a_stopped_answer_stays_stopped_when_its_job_is_taken_over(
    browser, talkative, pictures
) -> None:
    """A tab that died, or looked, between the stop and the end of its job."""
    put = """async job => {
        const opening = indexedDB.open("edge-vl");
        await new Promise(done => opening.onsuccess = done);
        const changing = opening.result.transaction("jobs", "readwrite");
        changing.objectStore("jobs").put({...job, tab: "", lease: 0});
        await new Promise(done => changing.oncomplete = done);
        opening.result.close();
    }"""
    with visiting(browser, talkative.url) as visitor:
        visitor.begin_long_answer(pictures[0])
        [job] = visitor.kept("jobs")
        visitor.stop.click()
        expect(visitor.page.get_by_text("Stopped after")).to_be_visible()
        visitor.until(lambda: not visitor.kept("jobs"), 30)
        visitor.page.evaluate(put, job)
        visitor.until(lambda: not visitor.kept("jobs"), 40)
        expect(visitor.page.get_by_text("Stopped after")).to_be_visible()
        visitor.wait_idle()


def part_of(stack: Stack, name: str) -> psutil.Process:
    if name != "broker":
        return stack.child("-m", name)
    servers = [one for one in stack.children() if "valkey-server" in one.name()]
    return min(servers, key=lambda one: one.create_time())  # it starts first


def test_a_second_tab_shows_the_same_answer(browser, talkative, pictures) -> None:
    with visiting(browser, talkative.url) as visitor:
        visitor.ask("Tell me everything about it", pictures[0])
        wait_for(lambda: len(visitor.answers.last.inner_text()) > 100, 60)
        streams: list[str] = []
        page = visitor.page.context.new_page()
        page.on("request", lambda r: "/events" in r.url and streams.append(r.url))
        other = Visitor(page, talkative.url)
        page.goto(visitor.page.url)
        other.wait_ready()
        early = len(other.answers.last.inner_text())
        wait_for(lambda: len(other.answers.last.inner_text()) > early + 100, 60)
        assert streams == []  # one tab reads it for both
        visitor.page.close()
        early = len(other.answers.last.inner_text())
        wait_for(lambda: len(other.answers.last.inner_text()) > early + 400, 60)
        page.get_by_role("button", name="Stop", exact=True).click()
        expect(page.get_by_text("Stopped after")).to_be_visible()
        other.wait_idle()


def test_an_answer_goes_on_after_the_network_was_away(
    browser, talkative, pictures
) -> None:
    with visiting(browser, talkative.url) as visitor:
        visitor.ask("Tell me everything about it", pictures[0])
        text = visitor.answers.last.inner_text
        wait_for(lambda: len(text()) > 100, 60)
        visitor.page.context.set_offline(True)
        time.sleep(3)
        early = len(text())
        visitor.page.context.set_offline(False)
        wait_for(lambda: len(text()) > early + 200, 60)
        visitor.stop_all()
