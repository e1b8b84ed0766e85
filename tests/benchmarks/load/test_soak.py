"""The users of a soak do everything, and judge it by the status that is right."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.benchmarks.load.load_process import load

PAGE = b'<script src="./assets/a-1.js"></script><link href="/assets/b.css">'
EVENTS = (
    b'data: {"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}\n\n'
    b"data: [DONE]\n\n"
)


class Server(ThreadingHTTPServer):
    """Answers like Edge-VL, and keeps what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: Counter[str] = Counter()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self._answer(200, EVENTS if self.path.endswith("/events") else PAGE)

    def do_DELETE(self) -> None:
        self._answer(200, b"{}")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/chat/completions":
            is_good = b'"stream": true' in body
            self._answer(200 if is_good else 400, EVENTS if is_good else b"{}")
        else:
            self._answer(413, b"{}")

    def _answer(self, status: int, body: bytes) -> None:
        self.server.asked[f"{self.command} {self.path}"] += 1
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Job-Id", "job-1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_every_kind_of_request_is_sent_and_judged(server: Server) -> None:
    url = f"http://127.0.0.1:{server.server_address[1]}"
    words = ("--stages", 4, "--requests", 260, "--seed", 3)
    output = load(url, "--scenario", "soak", "--filling", 10, *words)
    outcomes = Counter((one.kind, one.outcome, one.code) for one in output.samples)
    aborted = ("picture", "aborted", "")
    assert set(outcomes) - {aborted} == {
        (kind, "answered", "")
        for kind in (
            *("picture", "same picture", "repeated", "text", "extraction"),
            *("cancelled", "followed again", "bad body", "page", "filling"),
        )
    }
    assert aborted in outcomes
    assert set(server.asked) == {
        "POST /v1/chat/completions",
        "DELETE /v1/jobs/job-1",
        "GET /v1/jobs/job-1/events",
        "GET /",
        "GET /assets/a-1.js",
        "GET /assets/b.css",
    }
