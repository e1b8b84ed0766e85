"""Changing a question that was asked: in its place, and back again."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.stack.visitor import Held, Visitor, visiting

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.model]

SHAPE = "What shape is this, and which colour?"


def edit(visitor: Visitor) -> None:
    visitor.page.get_by_role("button", name="Edit").last.click()


def test_a_change_that_was_begun_stays_in_its_conversation(
    browser, stack, pictures
) -> None:
    with visiting(browser, stack.url) as visitor:
        visitor.ask(SHAPE, pictures[0])
        visitor.expect_answer("A red circle.")
        first = visitor.page.url
        visitor.open()
        visitor.ask(SHAPE, pictures[1])
        visitor.expect_answer("A blue square.")
        second = visitor.page.url
        edit(visitor)
        visitor.page.goto(first)  # the same page: only the part behind # differs
        expect(visitor.answers.last).to_have_text("A red circle.")
        expect(visitor.box).to_have_value("")
        visitor.ask("Where is it?")
        visitor.expect_answer("At the top left.")
        expect(visitor.answers).to_have_count(2)  # behind the answer that is there
        visitor.page.goto(second)
        expect(visitor.answers.last).to_have_text("A blue square.")
        expect(visitor.box).to_have_value(SHAPE)  # where it was left
        expect(visitor.page.locator(".editing")).to_be_visible()
        visitor.page.reload()
        visitor.wait_ready()
        visitor.box.fill("Which colour is it?")
        visitor.box.press("Enter")
        visitor.wait_done()
        expect(visitor.page.get_by_text("2 of 2")).to_be_visible()


def test_a_change_is_left_and_what_was_written_before_is_back(
    browser, stack, pictures
) -> None:
    with visiting(browser, stack.url) as visitor:
        visitor.ask(SHAPE, pictures[0])
        visitor.expect_answer("A red circle.")
        strip = visitor.page.locator(".strip-picture")
        visitor.box.fill("half a question")
        for leave in ("Escape", "Cancel"):
            edit(visitor)
            expect(visitor.box).to_have_value(SHAPE)
            expect(strip).to_have_count(1)  # once, and not for the old question too
            if leave == "Escape":
                visitor.box.press(leave)
            else:
                visitor.page.locator(".editing").get_by_role("button").click()
            expect(visitor.page.locator(".editing")).to_be_hidden()
            expect(visitor.box).to_have_value("half a question")
        visitor.box.press("Enter")
        visitor.wait_done()
        expect(visitor.answers).to_have_count(2)


def test_a_ready_task_is_changed_as_that_task(browser, stack, pictures) -> None:
    with visiting(browser, stack.url) as visitor:
        visitor.add(pictures[0])
        visitor.box.fill("red circle")
        visitor.page.locator("[data-task=locate]").click()
        bubble = visitor.page.locator(".bubble")
        expect(bubble).to_have_text("Find and mark · red circle")
        visitor.wait_done()
        edit(visitor)
        expect(visitor.box).to_have_value("red circle")
        expect(visitor.page.locator(".editing")).to_contain_text("Find and mark")
        with visitor.page.expect_request("**/v1/chat/completions") as asked:
            visitor.box.fill("blue square")
            visitor.box.press("Enter")
        expect(bubble).to_have_text("Find and mark · blue square")
        visitor.wait_done()
        asked_for = str(asked.value.post_data_json["messages"])
        assert "blue square" in asked_for
        assert "'detail': 'high'" in asked_for


def test_a_part_that_was_not_chosen_replaces_nothing(
    browser, slow_stack, pictures
) -> None:
    with visiting(browser, slow_stack.url) as visitor:
        visitor.slow_pictures()
        page, asking = visitor.page, Held(visitor, "**/v1/chat/completions")
        visitor.ask("Tell me all about it", pictures[0])
        page.get_by_role("button", name="Only a part of it").click()
        page.get_by_role("button", name="Cancel").click()
        asking.wait()
        asking.let_go()
        visitor.stop.click()
        visitor.wait_done()
        visitor.box.fill("half a question")
        page.get_by_role("button", name="Ask about a part").click()
        page.get_by_role("button", name="Ask about this part").click()
        expect(page.locator(".strip-picture")).to_have_count(2)
        expect(visitor.box).to_have_value("half a question")
        expect(page.locator(".answer")).to_have_count(1)
        visitor.wait_idle()
