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
SMALL_BODY = 4 * KIB

# The values of each placeholder of a path.
PARTS = {
    "id": "[A-Za-z0-9_-]{1,64}",
    "model": "[A-Za-z0-9._:@+-]{1,200}",
    "version": "[0-9a-f]{16}",
    "file": r"(?:[A-Za-z0-9_-]{1,64}/){0,3}[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}",
    "asset": r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}",
}


@dataclass(frozen=True)
class Route:
    """One path. `body` is the most bytes of a request; 0: no body.

    `is_page`: links on other sites may lead to it.
    `about`: its purpose, for the documents.
    """

    methods: tuple[str, ...]
    path: str
    body: int = 0
    is_page: bool = False
    about: str = ""

    @property
    def pattern(self) -> str:
        """A regular expression for the whole path, for Python's re and PCRE alike."""
        pieces = re.split(r"\{(\w+)\}", self.path)
        literal = [re.escape(piece) for piece in pieces[::2]]
        named = [PARTS[name] for name in pieces[1::2]] + [""]
        return "".join(a + b for a, b in zip(literal, named, strict=True))


# What a client of an unknown path is told, by its beginning. Without apostrophes, which
# would end a string in nginx.conf.
HINTS = {
    "/api/": "Of the Ollama API there are chat, generate, tags, show, ps and version. "
    "The operator changes models with `edge models`; embeddings are at /v1/embeddings.",
    "": "The API is under /v1, the page at /.",
}

READ = ("GET", "HEAD")

SURFACE = (
    # the API
    Route(("POST",), "/v1/chat/completions", API_BODY, about="asks a question"),
    Route(("POST",), "/v1/completions", API_BODY, about="goes on with a text"),
    Route(
        ("POST",), "/v1/responses", API_BODY, about="asks, as the Responses API does"
    ),
    Route(("GET", "DELETE"), "/v1/responses/{id}", about="a response; or deletes it"),
    Route(("GET",), "/v1/responses/{id}/input_items", about="the input of a response"),
    Route(
        ("POST",),
        "/v1/responses/{id}/cancel",
        SMALL_BODY,
        about="ends a response in the background",
    ),
    Route(("POST",), "/v1/messages", API_BODY, about="asks, in Anthropic's form"),
    Route(
        ("POST",),
        "/v1/messages/count_tokens",
        API_BODY,
        about="counts the tokens of such a question",
    ),
    Route(("POST",), "/v1/rerank", API_BODY, about="scores documents for a query"),
    Route(("POST",), "/v2/rerank", API_BODY, about="the same"),
    Route(("POST",), "/v1/embeddings", API_BODY, about="embeds texts and pictures"),
    Route(("POST",), "/api/rerank", API_BODY, about="scores in the documents' order"),
    Route(("POST",), "/api/chat", API_BODY, about="asks, in Ollama's form"),
    Route(("POST",), "/api/generate", API_BODY, about="asks about one prompt"),
    Route(READ, "/api/tags", about="the served models, in Ollama's form"),
    Route(READ, "/api/ps", about="the same: all are in memory"),
    Route(("POST",), "/api/show", SMALL_BODY, about="what one of them can do"),
    Route(READ, "/api/version", about="the version of Ollama's API"),
    Route(
        ("GET", "POST"),
        "/v1/files",
        API_BODY,
        about="files; or adds one",
    ),
    Route(("GET", "DELETE"), "/v1/files/{id}", about="a file; or deletes it"),
    Route(("GET",), "/v1/files/{id}/content", about="what is in it"),
    Route(("GET", "POST"), "/v1/batches", SMALL_BODY, about="batches; or begins one"),
    Route(("GET",), "/v1/batches/{id}", about="the state of a batch"),
    Route(("POST",), "/v1/batches/{id}/cancel", SMALL_BODY, about="ends a batch"),
    Route(
        ("POST",), "/v1/pages", API_BODY, about="the pages of a document, as pictures"
    ),
    Route(("POST",), "/tokenize", API_BODY, about="the tokens of a prompt"),
    Route(("POST",), "/detokenize", MIB, about="the text of tokens"),
    Route(READ, "/v1/models", about="the served models"),
    Route(READ, "/v1/models/{model}", about="one of them"),
    Route(
        ("GET", "POST"),
        "/v1/models/{model}/activate",
        SMALL_BODY,
        about="how far the switch to it is; makes it the default model; for an admin "
        "key",
    ),
    Route(
        ("GET", "DELETE"), "/v1/jobs/{id}", about="the state of a job; or cancels it"
    ),
    Route(("GET",), "/v1/jobs/{id}/events", about="the event stream of a job"),
    Route(READ, "/v1/status", about="load, pace and latency of the server"),
    Route(("GET",), "/v1/usage", about="what a key has used, by day and model"),
    Route(READ, "/v1/openapi.json", about="the API as an OpenAPI document"),
    Route(READ, "/health", about="200 while the web process is alive"),
    Route(READ, "/ready", about="200 while a question could be answered, else 503"),
    Route(("GET",), "/metrics", about="metrics for Prometheus"),
    # the door
    Route(("GET", "POST"), "/login", SMALL_BODY, is_page=True, about="signs in"),
    Route(("POST",), "/logout", SMALL_BODY, about="signs out"),
    # the page
    Route(READ, "/", is_page=True, about="the chat page"),
    Route(READ, "/page/{version}/{file}", about="a file of the page, never changed"),
    Route(READ, "/assets/{asset}", about="a script or style of Gradio"),
    Route(READ, "/theme.css", about="the theme"),
    Route(READ, "/favicon.ico", about="the icon"),
)

_COMPILED = tuple((re.compile(route.pattern), route) for route in SURFACE)


def find(path: str) -> Route | None:
    """The route of a decoded path; None: there is none."""
    return next((r for pattern, r in _COMPILED if pattern.fullmatch(path)), None)
