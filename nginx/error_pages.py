"""The answers that nginx itself gives, in the shape of each API's errors."""

import json
from typing import NamedTuple

from nginx.config.api import Block, EmptyBlock, Location
from nginx.config.helpers import duplicate_options as repeated

from ui.error_shape import PATHS, shaped
from ui.surface import HINTS


class ErrorPage(NamedTuple):
    """What one answer says; `status` is the HTTP status that is sent."""

    status: int
    type: str
    code: str
    message: str


NOT_HTTP = "This is not valid HTTP."
PRIVATE = "This address is not public."
UNKNOWN_HOST = (
    "This server does not know this name. Its operator can add it to EDGE_HOSTS; "
    "until then, use its address."
)
FOREIGN_PAGE = (
    "Pages of other sites may not call this server, unless EDGE_CORS names them."
)
TOO_MANY = (
    "Too many requests at once from this address. Wait 2 seconds, and send fewer at a "
    "time."
)
LARGE = "The request is larger than this address takes."
FOREIGN = "foreign"  # the name of the page for requests from other sites' pages
# By status, or by a name where one status has two pages.
ERROR_PAGES = {
    400: ErrorPage(400, "invalid_request_error", "invalid_request", NOT_HTTP),
    403: ErrorPage(403, "permission_error", "forbidden", PRIVATE),
    404: ErrorPage(
        404,
        "invalid_request_error",
        "not_found",
        "There is nothing at this address.",
    ),
    FOREIGN: ErrorPage(403, "permission_error", "forbidden", FOREIGN_PAGE),
    405: ErrorPage(
        405,
        "invalid_request_error",
        "method_not_allowed",
        "This address answers only: $allow.",
    ),
    413: ErrorPage(413, "invalid_request_error", "request_too_large", LARGE),
    414: ErrorPage(
        414, "invalid_request_error", "uri_too_long", "The address is too long."
    ),
    421: ErrorPage(421, "invalid_request_error", "unknown_host", UNKNOWN_HOST),
    429: ErrorPage(429, "rate_limit_error", "rate_limit_exceeded", TOO_MANY),
    500: ErrorPage(500, "server_error", "internal_error", "The front server failed."),
    502: ErrorPage(
        502,
        "server_error",
        "service_unavailable",
        "The service is being restarted, or is stopped. Try again in 5 seconds.",
    ),
    503: ErrorPage(
        503, "server_error", "service_unavailable", "The service is not ready."
    ),
    504: ErrorPage(
        504, "server_error", "service_unavailable", "The service did not answer."
    ),
}
RETRY_AFTER_S = {429: 2, 502: 5, 503: 5, 504: 5}

# What a person sees who opens the page meanwhile.
AWAY = (502, 504)
PAGE, LOADS_AGAIN = "page", "/nginx-refusals/away"
AWAY_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
DOCUMENT = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Edge-VL</title>'
    '<meta http-equiv="refresh" content="3"><body style="font: 1.2em sans-serif; '
    'margin: 20vh auto; width: 20em; max-width: 90%; text-align: center">'
    "<p>The server is being restarted. This page loads again by itself."
    '<p lang="zh">服务器正在重启，本页会自动重新载入。'
)


def apis() -> Block:
    """Which API's shape an error has. `$request_uri` stays when an error leads to its
    page."""
    known = {f'"~^{address}"': api for api, address in PATHS.items()}
    known['"~^/([?]|$)"'] = PAGE
    return Block("map $request_uri $api", default='""', **known)


def error_page(name: int | str, page: ErrorPage) -> EmptyBlock:
    """The location of one page; nginx itself leads to those named by their status."""
    path = f"/nginx-refusals/{name}"
    headers = {"X-Content-Type-Options": "nosniff", "X-Request-ID": "$request_id"}
    if page.status in RETRY_AFTER_S:
        headers["Retry-After"] = str(RETRY_AFTER_S[page.status])
    if page.status == 405:
        headers["Allow"] = "$allow"
    answer = Location(
        f"= {path}",
        headers_added(headers),
        *([loads_again()] if page.status in AWAY else []),
        *(Block(f"if ($api = {api})", **answered(page, api)) for api in PATHS),
        EmptyBlock(**answered(page)),  # the first that applies is sent
        internal=None,
        client_max_body_size=0,  # or a large one that is refused would be too large
        default_type="application/json",
    )
    if name != page.status:
        return EmptyBlock(answer)
    return EmptyBlock(answer, error_page=f"{page.status} {path}")


def loads_again() -> Block:
    """Leads from an error's page to the document that loads again."""
    return Block(f"if ($api = {PAGE})", rewrite=f"^ {LOADS_AGAIN} last")


def away() -> Location:
    """The document, without anything that the ui would have to send."""
    headers = {
        "Content-Security-Policy": AWAY_POLICY,
        "X-Content-Type-Options": "nosniff",
        "Retry-After": "5",
    }
    return Location(
        f"= {LOADS_AGAIN}",
        headers_added(headers),
        EmptyBlock(**{"return": f"502 '{DOCUMENT}'"}),
        internal=None,
        client_max_body_size=0,
        default_type='"text/html; charset=utf-8"',
    )


def answered(page: ErrorPage, api: str = "") -> dict[str, list[str]]:
    """The directive that sends a page in the shape of `api`, or else OpenAI's."""
    hint = HINTS["/api/" if api == "ollama" else ""] if page.status == 404 else ""
    error: dict[str, str | int | None] = {
        "message": f"{page.message} {hint}".strip(),
        "type": page.type,
        "param": None,
        "code": page.code,
    }
    if page.status in RETRY_AFTER_S:
        error["retry_after_s"] = RETRY_AFTER_S[page.status]
    body = json.dumps(shaped({"error": error}, page.status, api))
    return {"return": [str(page.status), f"'{body}'"]}


def headers_added(headers: dict[str, str]) -> EmptyBlock:
    """Headers on every answer; a block that adds its own inherits none of these."""
    rows = [[name, f'"{value}"', "always"] for name, value in headers.items()]
    return repeated("add_header", rows)
