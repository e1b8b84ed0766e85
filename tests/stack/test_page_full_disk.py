"""What the page does when its browser cannot write for a moment."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.stack.visitor import Visitor

pytestmark = [pytest.mark.stack, pytest.mark.browser, pytest.mark.model]

# The first answer that ends is not written.
FULL_ONCE = """() => {
    const { put } = IDBObjectStore.prototype;
    window.nEnded = 0;
    IDBObjectStore.prototype.put = function (row, ...rest) {
        const request = put.call(this, row, ...rest);
        const isEnd = row.role === "assistant" && row.state === "done";
        if (isEnd && !window.nEnded++) this.transaction.abort();
        return request;
    };
}"""


def test_an_answer_whose_end_could_not_be_kept_is_followed_again(
    browser, stack, pictures
) -> None:
    context = browser.new_context()
    visitor = Visitor(context.new_page(), stack.url)
    visitor.open()
    visitor.page.evaluate(FULL_ONCE)
    visitor.ask("What shape is this, and which colour?", pictures[0])
    visitor.expect_answer("A red circle.")
    assert visitor.page.evaluate("window.nEnded") == 2
    expect(visitor.page.locator(".history-entry.is-running")).to_have_count(0)
    visitor.wait_idle()
    context.close()
