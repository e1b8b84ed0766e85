"""What a person does while the page does something else: reads files, asks, answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.conftest import wait_for
from tests.images.pdf_files import drawn
from tests.images.test_pdf import plain
from tests.stack.visitor import Held, Visitor, visiting

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.model]

SHAPE = "What shape is this, and which colour?"


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "pages.pdf"
    path.write_bytes(drawn(*plain("red", "blue")))
    return path


# --- files that are being read --------------------------------------------------------


@pytest.fixture
def asked(browser, stack, document) -> Iterator[tuple[Visitor, Held]]:
    """A question that has been sent while its document is read."""
    with visiting(browser, stack.url) as visitor:
        reading = Held(visitor, "**/v1/pages")
        visitor.choose(document)
        reading.wait()
        visitor.box.fill("What is on them?")
        visitor.box.press("Enter")
        yield visitor, reading


def test_a_question_waits_for_the_files_that_are_being_read(asked) -> None:
    visitor, reading = asked
    expect(visitor.page.locator(".hint")).to_contain_text("by itself")
    expect(visitor.box).to_have_value("What is on them?")
    with visitor.page.expect_request("**/v1/chat/completions") as sent:
        reading.let_go()
    parts = sent.value.post_data_json["messages"][-1]["content"]
    assert sum(part["type"] == "image_url" for part in parts) == 2
    expect(visitor.box).to_have_value("")
    visitor.wait_done()


def test_a_question_that_is_changed_meanwhile_is_not_sent(asked) -> None:
    visitor, reading = asked
    visitor.box.fill("What is on the first")
    expect(visitor.page.locator(".hint")).not_to_contain_text("by itself")
    reading.let_go()
    expect(visitor.page.locator(".strip-picture")).to_have_count(2)
    expect(visitor.box).to_have_value("What is on the first")
    expect(visitor.page.locator(".answer")).to_have_count(0)


def test_a_question_goes_that_was_asked_after_a_file_was_refused(
    browser, stack, document, tmp_path
) -> None:
    """The person has seen why, and has gone on; the other file is still being read."""
    wrong = tmp_path / "letter.jpg"
    wrong.write_text("This is not a picture. " * 20)
    with visiting(browser, stack.url) as visitor:
        reading = Held(visitor, "**/v1/pages")
        visitor.choose(wrong, document)
        reading.wait()
        expect(visitor.page.get_by_text("letter.jpg is not a picture")).to_be_visible()
        visitor.box.fill("What is on them?")
        visitor.box.press("Enter")
        expect(visitor.page.locator(".hint")).to_contain_text("by itself")
        with visitor.page.expect_request("**/v1/chat/completions") as sent:
            reading.let_go()
        parts = sent.value.post_data_json["messages"][-1]["content"]
        assert sum(part["type"] == "image_url" for part in parts) == 2
        visitor.wait_done()


def test_files_go_to_no_question_but_that_they_were_chosen_for(asked) -> None:
    visitor, reading = asked
    visitor.page.evaluate("location.hash = 'another'")
    visitor.box.fill("a question of another conversation")
    reading.let_go()
    visitor.page.wait_for_timeout(1500)
    expect(visitor.page.locator(".strip-picture")).to_have_count(0)
    expect(visitor.page.locator(".hint")).to_be_empty()


# --- from one conversation to another -------------------------------------------------


def test_a_conversation_with_a_draft_can_be_left_and_opened_again(
    browser, stack, pictures
) -> None:
    with visiting(browser, stack.url) as visitor:
        page = visitor.page
        visitor.ask(SHAPE, pictures[0])
        visitor.expect_answer("A red circle.")
        first = page.url
        visitor.box.fill("half a question")
        page.evaluate("location.hash = ''")  # a new one
        expect(visitor.answers).to_have_count(0)
        assert page.url != first
        page.go_back()
        expect(visitor.answers).to_have_text("A red circle.")
        expect(visitor.box).to_have_value("half a question")
        page.evaluate("location.hash = ''")
        expect(visitor.box).to_have_value("")
        visitor.box.fill("another one")
        expect(page).to_have_url(re.compile("#."))  # an address of its own
        visitor.until(lambda: "another one" in str(visitor.kept("conversations")), 20)
        page.reload()
        visitor.wait_ready()
        expect(visitor.box).to_have_value("another one")
        page.evaluate("location.hash = 'of-no-conversation'")
        expect(visitor.box).to_have_value("")
        assert "#" not in page.url


def test_what_was_written_before_a_change_outlives_a_reload(
    browser, stack, pictures
) -> None:
    with visiting(browser, stack.url) as visitor:
        visitor.ask(SHAPE, pictures[0])
        visitor.expect_answer("A red circle.")
        visitor.box.fill("half a question")
        visitor.page.get_by_role("button", name="Edit").last.click()
        visitor.until(lambda: "'edits'" in str(visitor.kept("conversations")), 20)
        visitor.page.reload()
        visitor.wait_ready()
        expect(visitor.box).to_have_value(SHAPE)
        visitor.page.locator(".editing").get_by_role("button").click()
        expect(visitor.box).to_have_value("half a question")


# --- while an answer comes ------------------------------------------------------------


def test_the_stage_stays_as_it_is_while_text_comes(
    browser, talkative, pictures
) -> None:
    with visiting(browser, talkative.url) as visitor:
        visitor.add(pictures[1])
        visitor.begin_long_answer(pictures[0])
        text = visitor.answers.last.inner_text
        nodes = visitor.page.evaluate_handle(
            "[...document.querySelectorAll('.strip-picture, .stage-tools button')]"
        )
        visitor.page.locator(".strip-picture").first.focus()
        early = len(text())
        wait_for(lambda: len(text()) > early + 500, 60)
        assert nodes.evaluate("all => all.every(one => one.isConnected)")
        expect(visitor.page.locator(".strip-picture").first).to_be_focused()
        visitor.stop_all()


def test_a_part_of_the_picture_leaves_an_answer_that_has_ended(
    browser, talkative, pictures
) -> None:
    with visiting(browser, talkative.url) as visitor:
        visitor.slow_pictures()
        page, asking = visitor.page, Held(visitor, "**/v1/chat/completions")
        visitor.ask("Tell me everything about it", pictures[0])
        page.get_by_role("button", name="Only a part of it").click()
        asking.wait()
        asking.let_go()
        wait_for(lambda: len(visitor.answers.last.inner_text()) > 100, 60)
        visitor.stop.click()
        visitor.wait_done()
        text = visitor.answers.last.text_content() or ""
        page.get_by_role("button", name="Ask about this part").click()
        expect(page.get_by_text("2 of 2")).to_be_visible()
        visitor.stop_all()
        page.get_by_role("button", name="Earlier version").first.click()
        expect(visitor.answers.last).to_have_text(text)


def test_an_answer_that_another_tab_stops_is_stopped(
    browser, talkative, pictures
) -> None:
    with visiting(browser, talkative.url) as visitor:
        visitor.begin_long_answer(pictures[0])
        page = visitor.page.context.new_page()
        other = Visitor(page, talkative.url).answers.last
        page.goto(visitor.page.url)
        wait_for(lambda: len(other.inner_text()) > 100, 60)
        page.get_by_role("button", name="Stop", exact=True).click()
        for one in (page, visitor.page):
            expect(one.get_by_text("Stopped after")).to_be_visible()
            expect(one.locator(".failure")).to_have_count(0)
        visitor.page.wait_for_timeout(1000)
        expect(visitor.page.get_by_text("Stopped after")).to_be_visible()
        visitor.wait_idle()


def test_a_question_in_line_waits_for_all_answers_above_it(
    browser, talkative, pictures
) -> None:
    with visiting(browser, talkative.url) as visitor:
        visitor.begin_long_answer(pictures[0])
        for text in ("And then?", "And after that?"):
            visitor.ask(text)
        stops = visitor.page.locator(".waiting").get_by_role("button", name="Stop")
        asked = visitor.posts()
        stops.nth(1).click()  # the second question is taken back
        expect(stops).to_have_count(2)
        visitor.page.wait_for_timeout(1500)
        assert not asked  # the third waits for the first answer all the same
        visitor.stop_all()


# --- what fails -----------------------------------------------------------------------


@pytest.mark.parametrize("knows", [True, False])
def test_a_question_is_given_back_when_the_page_has_become_old(
    browser, stack, *, knows: bool
) -> None:
    """Also when the page does not know yet that the server is back."""
    with visiting(browser, stack.url) as visitor:
        visitor.page.route("**/room*.js", lambda route: route.abort())
        if not knows:
            visitor.page.route("**/v1/status", lambda route: route.abort())
            visitor.page.evaluate("dispatchEvent(new Event('online'))")  # it looks
            expect(visitor.page.locator(".notice")).to_be_visible()
            visitor.page.unroute("**/v1/status")
        visitor.box.fill("What is two and two?")
        with visitor.page.expect_event("load"):  # it loads itself again
            visitor.box.press("Enter")
        visitor.wait_ready()
        expect(visitor.box).to_have_value("What is two and two?")
        loads: list[Any] = []
        visitor.page.on("load", lambda page: loads.append(page))
        visitor.box.press("Enter")  # in vain, but not for ever
        away = visitor.page.get_by_text("The server cannot be reached.")
        expect(away).not_to_have_count(0)
        expect(visitor.box).to_have_value("What is two and two?")
        visitor.page.wait_for_timeout(1000)
        assert not loads
        visitor.page.unroute("**/room*.js")
        visitor.box.press("Enter")
        expect(visitor.page.locator(".answer")).to_have_count(1)
        visitor.wait_done()


def test_a_question_is_given_back_while_the_server_is_away(browser, stack) -> None:
    with visiting(browser, stack.url) as visitor:
        for pattern in ("**/room*.js", "**/v1/status"):
            visitor.page.route(pattern, lambda route: route.abort())
        visitor.box.fill("What is two and two?")
        visitor.box.press("Enter")
        away = visitor.page.get_by_text("The server cannot be reached.")
        expect(away).not_to_have_count(0)
        expect(visitor.box).to_have_value("What is two and two?")
        visitor.page.unroute_all()
        visitor.box.press("Enter")
        visitor.wait_done()
        expect(visitor.page.locator(".answer")).to_have_count(1)


def test_keys_of_an_input_method_send_nothing(browser, stack) -> None:
    press = """(box, key) => box.dispatchEvent(
        new KeyboardEvent("keydown", {key, keyCode: 229, bubbles: true})
    )"""
    with visiting(browser, stack.url) as visitor:
        visitor.box.fill("これはなに")
        visitor.box.evaluate(press, "Enter")
        expect(visitor.box).to_have_value("これはなに")
        expect(visitor.page.locator(".answer")).to_have_count(0)


def test_a_mark_on_a_zoomed_picture_can_be_clicked(browser, stack, tmp_path) -> None:
    path = tmp_path / "wide.png"
    Image.new("RGB", (1200, 900), "white").save(path)
    with visiting(browser, stack.url) as visitor:
        visitor.add(path)
        frame = visitor.page.locator(".stage-frame")
        visitor.page.get_by_role("button", name="Zoom in").click()
        seen = frame.evaluate_handle(
            """frame => {
                const seen = [];
                const mark = document.createElement("button");
                mark.style.cssText = "position:absolute;inset:0;z-index:9";
                mark.onclick = () => seen.push("mark");
                frame.querySelector(".stage-picture").append(mark);
                return seen;
            }"""
        )
        frame.click()
        assert seen.json_value() == ["mark"]
