"""Errors in the shape of each API."""

from __future__ import annotations

import pytest

from edge.errors import EdgeError, InvalidRequest, QueueFull, Unauthorized, Unavailable
from ui.error_shape import error_body


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidRequest("No.", param="model"), "invalid_request_error"),
        (Unauthorized("No."), "authentication_error"),
        (QueueFull("No."), "rate_limit_error"),
        (Unavailable("No."), "overloaded_error"),
        (EdgeError("No."), "api_error"),
    ],
)
def test_each_api_has_its_shape(error: EdgeError, kind: str) -> None:
    assert error_body(error, "/v1/chat/completions") == error.body()
    assert error_body(error, "/api/chat") == {"error": "No."}
    anthropic = error_body(error, "/v1/messages/count_tokens")
    assert anthropic["type"] == "error"
    assert (anthropic["error"]["type"], anthropic["error"]["message"]) == (kind, "No.")
    assert error_body(error, "/v1/messages_of_ours") == error.body()
