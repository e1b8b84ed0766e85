"""The body of an error, in the shape that the clients of each API read.

Sources: the API references of OpenAI, of Anthropic ("Errors") and of Ollama ("Errors").
"""

from __future__ import annotations

from typing import Any

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


def error_body(error: EdgeError, path: str) -> dict[str, Any]:
    """What a response to a request of `path` says of `error`."""
    whole = error.body()
    if path.startswith("/api/"):
        return {"error": whole["error"]["message"]}
    if path == "/v1/messages" or path.startswith("/v1/messages/"):
        other = "invalid_request_error" if error.status < 500 else "api_error"
        kind = ANTHROPIC.get(error.status, other)
        return {"type": "error", "error": whole["error"] | {"type": kind}}
    return whole
