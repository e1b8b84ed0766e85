"""What the page does when its browser cannot write for a moment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.stack.visitor import Visitor

SHAPE = "What shape is this, and which colour?"

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.model]

# The first write of such a row fails, and what is written with it.
FULL_ONCE = """([role, state]) => {
    const { put } = IDBObjectStore.prototype;
    window.nWritten = 0;
    IDBObjectStore.prototype.put = function (row, ...rest) {
        const request = put.call(this, row, ...rest);
        if (row.role === role && row.state === state && !window.nWritten++)
            this.transaction.abort();
        return request;
    };
}"""


@pytest.fixture
def visitor(browser, stack) -> Iterator[Visitor]:
    context = browser.new_context()
    one = Visitor(context.new_page(), stack.url)
    one.open()
    yield one
    one.wait_idle()
    context.close()


def test_an_answer_whose_end_could_not_be_kept_is_followed_again(
    visitor, pictures
) -> None:
    visitor.page.evaluate(FULL_ONCE, ["assistant", "done"])
    visitor.ask(SHAPE, pictures[0])
    visitor.expect_answer("A red circle.")
    assert visitor.page.evaluate("window.nWritten") == 2
    expect(visitor.page.locator(".history-entry.is-running")).to_have_count(0)


def test_a_question_that_could_not_be_kept_is_given_back(visitor, pictures) -> None:
    visitor.page.evaluate(FULL_ONCE, ["user", "done"])
    visitor.add(pictures[0])
    visitor.box.fill(SHAPE)
    visitor.box.press("Enter")
    expect(visitor.page.locator(".hint")).to_contain_text("no room left")
    expect(visitor.box).to_have_value(SHAPE)
    expect(visitor.page.locator(".strip-picture")).to_have_count(1)
    expect(visitor.page.locator(".answer")).to_have_count(0)
    visitor.box.press("Enter")
    visitor.expect_answer("A red circle.")


def test_an_answer_that_could_not_be_asked_again_stays(visitor, pictures) -> None:
    visitor.ask(SHAPE, pictures[0])
    visitor.expect_answer("A red circle.")
    visitor.page.evaluate(FULL_ONCE, ["assistant", "asked"])
    again = visitor.page.get_by_role("button", name="Again")
    again.click()
    expect(visitor.page.locator(".hint")).to_contain_text("no room left")
    visitor.expect_answer("A red circle.")
    again.click()
    expect(visitor.page.locator(".hint")).to_be_empty()
    visitor.expect_answer("A red circle.")
