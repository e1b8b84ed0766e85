"""The server answers the addresses of one list. Gradio, which renders the page, answers
nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.security.conftest import Web, refused
from tests.security.probing import cpu_s
from ui import surface

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")

# Addresses of Gradio's server: of its events, uploads, files, sessions and queue.
GRADIOS = [
    "/config",
    "/theme.css/",
    "/manifest.json",
    "/static/x.js",
    "/svelte/x.js",
    "/login_check",
    "/token",
    "/robots.txt",
    "/pwa_icon",
    *(
        f"/gradio_api/{name}"
        for name in (
            *("info", "startup-events", "heartbeat/a", "queue/join", "queue/data"),
            *("queue/status", "run/predict", "call/ask", "call/v2/ask", "api/x"),
            *("cancel", "reset", "upload", "upload_progress", "component_server"),
            *("file=/etc/hostname", "file/etc/hostname", "file=http://8.8.8.8/"),
            *("proxy=http://8.8.8.8/", "stream/a/b/1/playlist.m3u8", "deep_link"),
            *("runs", "vibe-edit/", "dev/reload", "process_recording", "mcp/sse"),
        )
    ),
]
VERSION = 16 * "0"
VALUES = {"id": "abc", "model": "tiny", "asset": "x-1.js"}
VALUES |= {"version": VERSION, "file": "a/b.js"}


@pytest.fixture(scope="session")
def page() -> dict[str, Any]:
    """What `walk.py` tells."""
    script = Path(__file__).with_name("walk.py")
    told = subprocess.run(
        [sys.executable, str(script)], capture_output=True, timeout=240
    )
    assert told.returncode == 0, told.stderr.decode()
    return dict(json.loads(told.stdout))


def samples(template: str) -> Iterator[str]:
    """Paths that a template fits, as innocent and as hostile as they come."""
    for value in ("a", "1", "a.js", "a/b", "../x", "http://8.8.8.8/", VERSION):
        yield re.sub(r"\{\w+(:\w+)?\}", lambda _, v=value: v, template)


def test_the_surface_and_the_application_have_the_same_routes(page) -> None:
    values = VALUES | {"name": "tiny", "name:path": "a/b.js"}
    values |= {f"{kind}_id": "abc" for kind in ("job", "response", "file", "batch")}
    found = set()
    for method, template in page["routes"]:
        path = re.sub(r"\{([\w:]+)\}", lambda match: values[match[1]], template)
        route = surface.find(path)
        assert route and method in route.methods, (method, path)
        found.add((method, route.path))
    # HEAD is answered as GET by `ui.boundary`
    assert found == {
        (method, route.path)
        for route in surface.SURFACE
        for method in route.methods
        if method != "HEAD"
    }


def test_the_web_process_does_not_load_gradio(page) -> None:
    """A child renders its document once; no request reaches it."""
    assert page["gradio"] == []


# Addresses that the application has not.
STRANGE = [
    "//v1/models",
    "/v1/models/",
    "/health/",
    "/.env",
    "/%2e%2e/x",
    "/\\x",
    "/x?",
    "/v1/models%00",
    "/gradio_api/%2e%2e/config",
]


@pytest.mark.parametrize("method", METHODS)
def test_unlisted_paths_answer_404_in_the_shape_of_the_api(
    web: Web, method: str
) -> None:
    found = {path for one in surface.SURFACE for path in samples(one.path)}
    closed = [path for path in found if surface.find(path) is None]
    for path in (*closed, *STRANGE, *GRADIOS):
        answer = web.ask(method, path)
        assert answer.status == 404, path
        if method != "HEAD":
            refused(answer, 404, "not_found")


@pytest.mark.parametrize("path", [path for path in GRADIOS if "gradio_api" in path])
def test_a_call_of_gradios_functions_is_refused_unread(web: Web, path: str) -> None:
    file = {"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}
    history = [{"role": "user", "content": [{"type": "file", "file": file}]}]
    body = {"fn_index": 0, "session_hash": "a", "data": [history]}
    refused(web.tell(path, body), 404, "not_found")


@pytest.mark.parametrize("route", surface.SURFACE, ids=lambda route: route.path)
def test_a_wrong_method_gets_the_right_ones(web: Web, route: surface.Route) -> None:
    path = re.sub(r"\{(\w+)\}", lambda found: VALUES[found[1]], route.path)
    for method in METHODS:
        answer = web.ask(method, path)
        if method in route.methods:
            assert answer.status != 405
            continue
        assert answer.status == 405
        assert answer.headers["Allow"] == ", ".join(route.methods)
        if method != "HEAD":
            refused(answer, 405, "method_not_allowed", path)


def test_a_file_that_is_not_there_is_not_found(web: Web) -> None:
    refused(web.ask("GET", "/assets/nothing.js"), 404, "not_found")
    refused(web.ask("GET", "/assets/.."), 404, "not_found")


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/v1/models"])
def test_head_is_get_without_a_body(web: Web, path: str) -> None:
    head, get = web.ask("HEAD", path), web.ask("GET", path)
    assert (head.status, head.body) == (get.status, b"")
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert head.headers["Content-Length"] == str(len(get.body))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"1",
        b"{",
        b'"a"',
        b"\xff",
        b"[" * 100_000,
        b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
        b"9" * 100_000,
    ],
    ids=lambda body: repr(body[:8]),
)
def test_a_payload_that_is_not_an_object_is_refused(web: Web, body: bytes) -> None:
    before_s = cpu_s(web.process.pid)
    answer = web.tell("/v1/chat/completions", body)
    assert 400 <= answer.status < 500
    assert cpu_s(web.process.pid) - before_s < 2


def test_bodies_are_counted_by_address(web: Web) -> None:
    for route in surface.SURFACE:
        if "POST" in route.methods and "{" not in route.path:
            over = f"{route.body + 1}"
            headers = {"Content-Length": over, "Content-Type": "application/json"}
            answer = web.ask("POST", route.path, None, **headers)
            refused(answer, 413, "request_too_large", route.path)
