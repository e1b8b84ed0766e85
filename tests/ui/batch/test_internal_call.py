"""A request of a batch that meets a bug."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from edge.caller import ANONYMOUS, Caller
from ui.batch.internal_call import post


async def test_a_bug_ends_the_line_and_not_the_batch() -> None:
    async def broken(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ZeroDivisionError

    caller = Caller(ANONYMOUS, "me", "127.0.0.1", "me")
    result = await post(broken, "/v1/chat/completions", b"{}", caller, None)
    assert (result.status, result.retry_after_s) == (500, 0)
    assert result.body["error"]["code"] == "internal_error"
