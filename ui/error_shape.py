"""The body of an error, in the shape that the clients of each API read.

Sources: the API references of OpenAI, of Anthropic ("Errors") and of Ollama ("Errors").
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from edge.errors import EdgeError

# Anthropic's name for each status; any other 4xx is an invalid request.
ANTHROPIC = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


class ErrorDetails(BaseModel):
    message: str
    type: str
    param: str | None = None
    code: str | None = None


class Error(BaseModel):
    """OpenAI's."""

    error: ErrorDetails


class MessagesError(BaseModel):
    """Anthropic's."""

    type: Literal["error"]
    error: ErrorDetails


class OllamaError(BaseModel):
    error: str


def error_model(path: str) -> type[BaseModel]:
    """The form of what `error_body` gives for `path`."""
    if path.startswith("/api/"):
        return OllamaError
    return MessagesError if _is_messages(path) else Error


def error_body(error: EdgeError, path: str) -> dict[str, Any]:
    """What a response to a request of `path` says of `error`."""
    whole = error.body()
    if path.startswith("/api/"):
        return {"error": whole["error"]["message"]}
    if _is_messages(path):
        other = "invalid_request_error" if error.status < 500 else "api_error"
        kind = ANTHROPIC.get(error.status, other)
        return {"type": "error", "error": whole["error"] | {"type": kind}}
    return whole


def _is_messages(path: str) -> bool:
    return path == "/v1/messages" or path.startswith("/v1/messages/")
