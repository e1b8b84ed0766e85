"""The body and the headers of an error, as the clients of each API read them.

Sources: the API references of OpenAI, of Anthropic ("Errors") and of Ollama ("Errors").
"""

from __future__ import annotations

import re
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


# Addresses of the APIs that are not OpenAI's, for Python's re and PCRE alike.
PATHS = {"ollama": "/api/", "anthropic": "/v1/messages([/?]|$)"}


def error_body(error: EdgeError, path: str) -> dict[str, Any]:
    """What a response to a request of `path` says of `error`."""
    return shaped(error.body(), error.status, api_of(path))


def headers_of(error: EdgeError) -> dict[str, str]:
    """The headers of a response that holds `error`."""
    headers = {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(error.retry_after_s)
        # OpenAI's clients read it
        headers["retry-after-ms"] = str(error.retry_after_ms)
    if error.is_final:  # otherwise OpenAI's clients try two more times
        headers["x-should-retry"] = "false"
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return headers


def api_of(path: str) -> str:
    """The API that an address belongs to: one of PATHS, or "", which is OpenAI's."""
    return next((api for api, known in PATHS.items() if re.match(known, path)), "")


def shaped(whole: dict[str, Any], status: int, api: str) -> dict[str, Any]:
    """An error, which is `whole` in OpenAI's shape, in that of an `api`."""
    if api == "ollama":
        return {"error": whole["error"]["message"]}
    if api == "anthropic":
        other = "invalid_request_error" if status < 500 else "api_error"
        kind = ANTHROPIC.get(status, other)
        return {"type": "error", "error": whole["error"] | {"type": kind}}
    return whole
