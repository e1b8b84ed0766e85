"""One answer to its end, whatever happens to the connection in between."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.conftest import wait_for
from tests.page.conftest import Site

pytestmark = pytest.mark.browser

# Follows an answer; `given` is where it is, and what to do on an event.
FOLLOW = """async ({from, stop}) => {
  const {follow} = await import("/page/resume.js");
  const events = [];
  const aborter = new AbortController();
  await follow(from, {
    post: (received, signal) => fetch("v1/chat/completions", {method: "POST", signal,
      body: "{}", headers: {"idempotency-key": "k", "last-event-id": received}}),
    get: (path, headers, signal) => fetch(path, {headers, signal}),
    signal: aborter.signal,
    onEvent: (event) => {
      events.push(event);
      if (event.type === stop) aborter.abort();
    },
  });
  return events;
}"""
NEW = {"from": {"job": None, "received": "0"}, "stop": ""}


class Server:
    """Answers each request by the next step of a plan and records what it was."""

    def __init__(self, *steps: Callable[[BaseHTTPRequestHandler], None]) -> None:
        self._steps = iter(steps)
        self.seen: list[tuple[str, str, str | None]] = []

    def __call__(self, http: BaseHTTPRequestHandler) -> None:
        http.rfile.read(int(http.headers.get("content-length", 0)))
        path = http.path.split("?")[0]
        self.seen.append((http.command, path, http.headers["last-event-id"]))
        next(self._steps)(http)


def stream(*lines: str, breaks: bool = False) -> Callable[..., None]:
    """An event stream; one that `breaks` ends in the middle of an event."""

    def answer(http: BaseHTTPRequestHandler) -> None:
        http.send_response(200)
        http.send_header("content-type", "text/event-stream")
        http.send_header("x-job-id", "j1")
        http.send_header("connection", "close")
        http.end_headers()
        for line in lines:
            http.wfile.write(f"{line}\n\n".encode())
        if breaks:
            http.wfile.write(b'id: 99\ndata: {"choi')
        http.close_connection = True

    return answer


def refusal(status: int, code: str = "", **headers: str) -> Callable[..., None]:
    def answer(http: BaseHTTPRequestHandler) -> None:
        error = {"error": {"code": code, "message": "m", "param": None}}
        body = json.dumps(error).encode() if code else b"<html>"
        http.send_response(status)
        for name, value in headers.items():
            http.send_header(name.replace("_", "-"), value)
        http.send_header("content-length", str(len(body)))
        http.end_headers()
        http.wfile.write(body)

    return answer


def text(words: str, at: int) -> str:
    return f"id: {at}\ndata: {json.dumps({'choices': [{'delta': {'content': words}}]})}"


FINISH = 'id: 9\ndata: {"choices": [{"delta": {}, "finish_reason": "stop"}]}'
DONE = "data: [DONE]"


def told(events: list[dict[str, Any]]) -> str:
    return "".join(one["text"] for one in events if one["type"] == "text")


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [one["type"] for one in events]


def test_an_answer_comes_as_events(page: Page, site: Site) -> None:
    queued = ': progress {"stage": "queue", "position": 2}'
    usage = 'data: {"choices": [], "usage": {"total_tokens": 3}, "timings": {}}'
    site.answer = Server(
        stream(": still working", queued, text("Ré", 2), FINISH, usage, DONE)
    )
    events = page.evaluate(FOLLOW, NEW)
    assert kinds(events) == ["job", "progress", "text", "finish", "usage"]
    assert events[0] == {"type": "job", "job_id": "j1", "cached": False}
    assert events[1]["position"] == 2 and events[2]["at"] == "2"


def test_a_broken_stream_goes_on_where_the_text_ended(page: Page, site: Site) -> None:
    site.answer = server = Server(
        stream(text("One ", 4), breaks=True),
        refusal(502),
        stream(text("two", 7), FINISH, DONE),
    )
    events = page.evaluate(FOLLOW, NEW)
    assert told(events) == "One two"
    assert server.seen == [
        ("POST", "/v1/chat/completions", "0"),
        ("GET", "/v1/jobs/j1/events", "4"),
        ("GET", "/v1/jobs/j1/events", "4"),
    ]
    lost = [one["is_lost"] for one in events if one["type"] == "connection"]
    assert lost == [True, True, False]


def test_a_server_that_stops_is_waited_for(page: Page, site: Site) -> None:
    stopping = 'data: {"error": {"code": "shutting_down", "message": "m"}}'
    site.answer = Server(
        stream(text("A", 1), stopping, DONE),
        refusal(503, "service_unavailable"),
        stream(text("B", 2), FINISH, DONE),
    )
    assert told(page.evaluate(FOLLOW, NEW)) == "AB"


def test_an_answer_that_the_server_forgot_begins_again(page: Page, site: Site) -> None:
    site.answer = server = Server(
        refusal(404, "not_found"), stream(text("All", 3), FINISH, DONE)
    )
    events = page.evaluate(
        FOLLOW, {"from": {"job": "old", "received": "7"}, "stop": ""}
    )
    assert kinds(events)[0] == "restart" and told(events) == "All"
    assert server.seen[1] == ("POST", "/v1/chat/completions", "0")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (refusal(429, "queue_full", retry_after="7"), "queue_full"),
        (refusal(400, "invalid_image"), "invalid_image"),
        (stream('data: {"error": {"code": "worker_lost"}}', DONE), "worker_lost"),
    ],
)
def test_a_refusal_ends_it(page: Page, site: Site, answer: Any, code: str) -> None:
    site.answer = Server(answer)
    last = page.evaluate(FOLLOW, NEW)[-1]
    assert last["type"] == "error" and last["error"]["code"] == code
    if code == "queue_full":
        assert last["error"]["retry_after_s"] == 7


def test_a_server_that_never_answers_well_is_an_error(page: Page, site: Site) -> None:
    away = [refusal(503, "service_unavailable", retry_after="1")] * 9
    site.answer = server = Server(*away)
    page.clock.install()  # the pauses between attempts take no time
    page.evaluate("window.done = null")
    page.evaluate(
        f"void ({FOLLOW})({json.dumps(NEW)}).then((all) => window.done = all)"
    )

    def is_done() -> bool:
        page.clock.run_for(1000)
        return bool(page.evaluate("window.done !== null"))

    wait_for(is_done)
    assert page.evaluate("window.done.at(-1).error.code") == "service_unavailable"
    assert len(server.seen) == 5


def test_a_stopped_answer_says_nothing_more(page: Page, site: Site) -> None:
    release = threading.Event()

    def endless(http: BaseHTTPRequestHandler) -> None:
        stream(text("A", 1))(http)
        http.wfile.flush()
        release.wait(120)

    site.answer = Server(endless)
    events = page.evaluate(FOLLOW, {**NEW, "stop": "text"})
    release.set()
    assert kinds(events) == ["job", "text"]
