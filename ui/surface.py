"""The surface: every method and path that this server answers, in one table.

nginx is generated from it, and the web process enforces it before any framework sees a
request. Any other path answers 404, a wrong method 405. Pure: nginx/build.py, a script,
imports it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

KIB, MIB = 1 << 10, 1 << 20

# Base64 makes pictures a third larger than their files.
API_BODY = 32 * MIB
UPLOAD_FILES = 8
UPLOAD_BYTES = 25 * MIB
# The form around the files: boundaries, names, headers of each part.
UPLOAD_BODY = UPLOAD_BYTES + 64 * KIB
# A whole conversation as JSON: text and the names of pictures, never pictures.
PAGE_BODY = 256 * KIB
SMALL_BODY = 4 * KIB

# The values of each placeholder of a path.
PARTS = {
    "id": "[A-Za-z0-9_-]{1,64}",
    "model": "[A-Za-z0-9._:@+-]{1,200}",
    "asset": r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}",
    "upload": r"/[^?#]{0,512}/[0-9a-f]{64}/[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}",
}


@dataclass(frozen=True)
class Route:
    """One path. `body` is the most bytes of a request; 0: no body.

    `is_page`: links on other sites may lead to it.
    `is_limited`: nginx limits its rate for every method; POST is always limited.
    """

    methods: tuple[str, ...]
    path: str
    body: int = 0
    is_page: bool = False
    is_limited: bool = False

    @property
    def pattern(self) -> str:
        """A regular expression for the whole path, for Python's re and PCRE alike."""
        pieces = re.split(r"\{(\w+)\}", self.path)
        literal = [re.escape(piece) for piece in pieces[::2]]
        named = [PARTS[name] for name in pieces[1::2]] + [""]
        return "".join(a + b for a, b in zip(literal, named, strict=True))


READ = ("GET", "HEAD")

SURFACE = (
    # the API
    Route(("POST",), "/v1/chat/completions", API_BODY),
    Route(READ, "/v1/models"),
    Route(READ, "/v1/models/{model}"),
    Route(("GET", "DELETE"), "/v1/jobs/{id}"),
    Route(("GET",), "/v1/jobs/{id}/events"),
    Route(("GET",), "/v1/usage"),
    Route(READ, "/health"),
    Route(READ, "/ready"),
    Route(("GET",), "/metrics"),
    # the door
    Route(("GET", "POST"), "/login", SMALL_BODY, is_page=True),
    Route(("POST",), "/logout", SMALL_BODY),
    # the page
    Route(READ, "/", is_page=True),
    Route(("GET",), "/assets/{asset}"),
    Route(("GET",), "/theme.css"),
    Route(("GET",), "/favicon.ico"),
    Route(("POST",), "/gradio_api/upload", UPLOAD_BODY),
    Route(READ, "/gradio_api/file={upload}", is_limited=True),
    Route(("POST",), "/gradio_api/queue/join", PAGE_BODY),
    Route(("GET",), "/gradio_api/queue/data"),
    Route(("POST",), "/gradio_api/cancel", SMALL_BODY),
)

_COMPILED = tuple((re.compile(route.pattern), route) for route in SURFACE)


def find(path: str) -> Route | None:
    """The route of a decoded path; None: there is none."""
    return next((r for pattern, r in _COMPILED if pattern.fullmatch(path)), None)
