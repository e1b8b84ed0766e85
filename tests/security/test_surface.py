"""Routes and functions of Gradio and FastAPI are closed unless they are on our list, so
that those of a new version are closed too."""

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
from ui import payloads, surface

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")

# What of the application may be reached at all.
OPEN = {
    ("GET", "/"),
    ("HEAD", "/"),
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/metrics"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{name}"),
    ("POST", "/v1/chat/completions"),
    ("GET", "/v1/jobs/{job_id}"),
    ("DELETE", "/v1/jobs/{job_id}"),
    ("GET", "/v1/jobs/{job_id}/events"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("POST", "/logout"),
    ("GET", "/v1/usage"),
    ("GET", "/page/{version}/{name:path}"),
    ("GET", "/assets/{name}"),
    ("GET", "/assets/{path:path}"),
    ("GET", "/theme.css"),
    ("GET", "/favicon.ico"),
    ("POST", "/gradio_api/upload"),
    ("GET", "/gradio_api/file={path:path}"),
    ("GET", "/gradio_api/file={path_or_url:path}"),
    ("HEAD", "/gradio_api/file={path_or_url:path}"),
    ("POST", "/gradio_api/queue/join"),
    ("GET", "/gradio_api/queue/data"),
    ("POST", "/gradio_api/cancel"),
}
# Ours stands before it and takes all that the surface lets through.
SHADOWED = {"/gradio_api/file={path_or_url:path}"}
VERSION = 16 * "0"

UPLOAD = f"/tmp/a/{64 * 'a'}/b.png"


@pytest.fixture(scope="session")
def page() -> dict[str, Any]:
    """What `walk.py` tells."""
    script = Path(__file__).with_name("walk.py")
    told = subprocess.run(
        [sys.executable, str(script)], capture_output=True, timeout=60
    )
    assert told.returncode == 0, told.stderr.decode()
    return dict(json.loads(told.stdout))


@pytest.fixture(scope="session")
def about(page) -> int:
    """The number of a function without data."""
    [number] = [int(n) for n, name in page["open"].items() if name == "about"]
    return number


def samples(template: str) -> Iterator[str]:
    """Paths that a template fits, as innocent and as hostile as they come."""
    for value in (
        "a",
        "1",
        "a.js",
        "a/b",
        "../x",
        UPLOAD,
        "http://8.8.8.8/",
        "abc.png",
        VERSION,
    ):
        yield re.sub(r"\{\w+(:\w+)?\}", lambda _, v=value: v, template)


def test_every_route_of_the_application_is_on_the_list_or_closed(page) -> None:
    found = {(method, path) for method, path in page["routes"]}
    assert len(found) > 80  # of Gradio's and ours
    is_open = set()
    for method, template in found:
        for path in samples(template):
            route = surface.find(path)
            if route and method in route.methods:
                is_open.add((method, template))
    assert is_open == OPEN


def test_ours_stand_before_gradios(page) -> None:
    order = [path for _, path in page["routes"]]
    ours = order.index("/gradio_api/file={path:path}")
    assert all(ours < order.index(path) for path in SHADOWED)
    for path in ("/gradio_api/upload", "/theme.css", "/favicon.ico"):
        assert order.count(path) > 1
    assert order.index("/assets/{name}") < order.index("/assets/{path:path}")
    assert order.index("/gradio_api/upload") < order.index("/gradio_api/cancel")
    assert order.index("/login") < order.index("/login/")  # that one is Gradio's


def test_every_function_of_the_page_has_a_shape_or_is_closed(page) -> None:
    functions = page["open"]
    assert sorted(functions.values()) == [
        *("about", "ask", "rest", "rest_again", "retry", "undo")
    ]
    for number, name in functions.items():
        assert page["n_inputs"][number] == len(payloads.SHAPES[name])
    # Gradio's own end others: a browser never calls them
    closed = [number for number in page["n_inputs"] if number not in functions]
    assert set(page["cancels"]) <= {int(number) for number in closed}
    assert {page["n_inputs"][number] for number in closed} == {0}


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
    "/gradio_api/queue/join/",
    "/gradio_api/%2e%2e/config",
]


@pytest.mark.parametrize("method", METHODS)
def test_unlisted_paths_answer_404_in_the_shape_of_the_api(
    web: Web, page, method: str
) -> None:
    found = {path for _, path in page["routes"]}
    paths = {path for template in found for path in samples(template)}
    closed = [path for path in paths if surface.find(path) is None]
    for path in (*closed, *STRANGE):
        answer = web.ask(method, path)
        assert answer.status == 404, path
        if method != "HEAD":
            refused(answer, 404, "not_found")


@pytest.mark.parametrize("route", surface.SURFACE, ids=lambda route: route.path)
def test_a_wrong_method_gets_the_right_ones(web: Web, route: surface.Route) -> None:
    values = {"id": "abc", "model": "tiny", "asset": "x-1.js", "upload": UPLOAD}
    values |= {"version": VERSION, "file": "a/b.js"}
    path = re.sub(r"\{(\w+)\}", lambda found: values[found[1]], route.path)
    for method in METHODS:
        answer = web.ask(method, path)
        if method in route.methods:
            assert answer.status != 405
            continue
        assert answer.status == 405
        assert answer.headers["Allow"] == ", ".join(route.methods)
        if method != "HEAD":
            refused(answer, 405, "method_not_allowed")


def test_errors_of_gradio_have_the_shape_of_the_api(web: Web) -> None:
    refused(web.ask("GET", "/assets/nothing.js"), 404, "not_found")
    refused(web.ask("GET", "/assets/.."), 404, "not_found")


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/v1/models"])
def test_head_is_get_without_a_body(web: Web, path: str) -> None:
    head, get = web.ask("HEAD", path), web.ask("GET", path)
    assert (head.status, head.body) == (get.status, b"")
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert head.headers["Content-Length"] == str(len(get.body))


NUMBERS: list[Any] = [
    *range(-1, 64),
    1 << 40,
    None,
    True,
    False,
    "0",
    0.0,
    [0],
    {"a": 0},
    "ask",
    float("nan"),
]


def test_no_other_function_can_be_called(web: Web, page) -> None:
    for number in NUMBERS:
        if type(number) is int and str(number) in page["open"]:
            continue
        for data in ([], [[]], [None], [None, None], [{}, []]):
            refused(web.join(number, data), 404, "not_found")


@pytest.mark.parametrize("field", ["event_data", "oauth_token", "batched", "event_id"])
def test_no_field_beside_the_shape_is_passed_on(field: str) -> None:
    body = {"fn_index": 0, "data": [], "session_hash": "a", field: {"x": 1}}
    rebuilt = payloads.rebuild_call(body, {0: "about"}, find=lambda path: None)
    assert set(rebuilt) == {
        "fn_index",
        "data",
        "session_hash",
        "event_data",
        "trigger_id",
    }
    assert rebuilt["event_data"] is None


@pytest.mark.parametrize(
    "session", [None, 1, "", "a" * 65, "a b", "../a", "é", ["a"], {"a": 1}]
)
def test_a_session_is_a_plain_name(web: Web, about, session: Any) -> None:
    body = {"fn_index": about, "data": [], "session_hash": session}
    refused(web.tell("/gradio_api/queue/join", body), 400, "invalid_request")


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
    for path in ("/gradio_api/queue/join", "/gradio_api/cancel"):
        answer = web.tell(path, body[:4000] if path.endswith("cancel") else body)
        assert 400 <= answer.status < 500
        assert answer.seconds < 2


def test_bodies_are_counted_by_address(web: Web) -> None:
    for route in surface.SURFACE:
        if "POST" in route.methods and "{" not in route.path:
            over = f"{route.body + 1}"
            headers = {"Content-Length": over, "Content-Type": "application/json"}
            answer = web.ask("POST", route.path, None, **headers)
            refused(answer, 413, "request_too_large")


def test_a_session_belongs_to_its_first_caller(web: Web, about) -> None:
    body = {"fn_index": about, "data": [], "session_hash": "mine"}
    joined = web.tell("/gradio_api/queue/join", body)
    assert joined.status == 200
    stranger = {"source": "127.0.0.9"}
    refused(web.tell("/gradio_api/queue/join", body, **stranger), 404, "not_found")
    listen = "/gradio_api/queue/data?session_hash=mine"
    refused(web.ask("GET", listen, **stranger), 404, "not_found")
    cancel = body | {"event_id": joined.json()["event_id"]}
    refused(web.tell("/gradio_api/cancel", cancel, **stranger), 404, "not_found")
    assert b"process_completed" in web.ask("GET", listen).body


def test_a_page_that_never_reads_is_refused(web: Web, about) -> None:
    """What waits for it is kept in memory: 300 of the largest bodies were 90 MB."""
    body = {"fn_index": about, "data": [], "session_hash": "deaf"}
    answers = [web.tell("/gradio_api/queue/join", body) for _ in range(12)]
    assert [answer.status for answer in answers] == [200] * 8 + [429] * 4
    refused(answers[-1], 429, "client_limit")
    listen = "/gradio_api/queue/data?session_hash=deaf"
    assert b"process_completed" in web.ask("GET", listen).body
    assert web.tell("/gradio_api/queue/join", body).status == 200


def test_a_call_writes_nothing_into_the_home_folder(web: Web, about) -> None:
    """Gradio prepares for plots, which leaves a list of fonts there."""
    body = {"fn_index": about, "data": [], "session_hash": "home"}
    assert web.tell("/gradio_api/queue/join", body).status == 200
    listen = "/gradio_api/queue/data?session_hash=home"
    assert b"process_completed" in web.ask("GET", listen).body
    assert not [*web.log.parent.glob(".c*")]  # .cache, .config


@pytest.mark.parametrize(
    "query",
    ["", "?session_hash=", "?" + "a=1&" * 50, "?session_hash[]=a", "?%00", "?=&"],
)
def test_a_query_of_no_session_is_refused(web: Web, query: str) -> None:
    answer = web.ask("GET", f"/gradio_api/queue/data{query}")
    refused(answer, 400, "invalid_request")


@pytest.mark.parametrize("event", [None, [], {}, 1, "", "none"])
def test_cancelling_an_ended_event_succeeds(web: Web, about, event: Any) -> None:
    body = {"session_hash": "abc", "fn_index": about, "event_id": event}
    answer = web.tell("/gradio_api/cancel", body)
    assert answer.status == (200 if isinstance(event, str) else 400)


def test_opening_many_pages_closes_none_of_others(web: Web, about) -> None:
    """From eight addresses, under new names each time."""

    def use(session: str, source: str) -> int:
        body = {"fn_index": about, "data": [], "session_hash": session}
        return web.tell("/gradio_api/queue/join", body, source=source).status

    assert use("victim", "127.0.1.1") == 200
    statuses = [use(f"s{i}", f"127.0.2.{i % 8}") for i in range(400)]
    assert set(statuses) == {200}
    assert use("victim", "127.0.1.1") == 200
    assert use("new", "127.0.1.2") == 200
