"""Modules of the page alone, in a real browser, served by a small test server."""

from __future__ import annotations

import mimetypes
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

MODULES = Path(__file__).parents[2] / "ui/page"
# The page's own policy, so that a module that needs more fails here.
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; object-src 'none'; frame-src 'none'"
)
EMPTY = """<!doctype html><html lang=en><meta charset=utf-8>
<meta name=viewport content="width=device-width, initial-scale=1"><title>Test</title>
<link rel=icon href="data:,"><link rel=stylesheet href=page/page.css>
<link rel=stylesheet href=page/stage.css><link rel=stylesheet href=page/history.css>
<body></body></html>"""

Answer = Callable[[BaseHTTPRequestHandler], None]


class Site(ThreadingHTTPServer):
    """The modules below /page/, an empty page at /, and below /v1/ what a test says."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer: Answer = lambda http: http.send_error(404)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Site

    def do_GET(self) -> None:
        address = self.path.split("?")[0]
        if address.startswith("/v1/"):
            self.server.answer(self)
        elif address == "/":
            self._send(EMPTY.encode(), "text/html")
        else:
            path = MODULES / address.removeprefix("/page/")
            if not path.is_file():
                self.send_error(404)
                return
            kind = mimetypes.guess_type(path.name)[0] or "text/plain"
            self._send(path.read_bytes(), kind)

    def do_POST(self) -> None:
        self.server.answer(self)

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.send_header("content-security-policy", POLICY)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    one = Site()
    thread = threading.Thread(target=one.serve_forever, args=(0.05,))
    thread.start()
    yield one
    one.shutdown()
    thread.join()
    one.server_close()


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """An empty page of its own storage; errors in it fail the test."""
    context = browser.new_context()
    one = context.new_page()
    errors: list[str] = []
    one.on("pageerror", lambda error: errors.append(str(error)))
    one.goto(site.url)
    yield one
    context.close()
    assert errors == []
