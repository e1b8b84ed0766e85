"""An OpenAI-compatible server on loopback that follows a script, valid or not."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HEADERS = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}


@dataclass(frozen=True)
class Request:
    """One received request."""

    at: float  # on perf_counter, the same clock in all processes of a machine
    body: dict[str, Any]
    headers: Mapping[str, str]
    client: tuple[str, int]  # one port per connection

    @property
    def parts(self) -> list[dict[str, Any]]:
        """The content of the last message."""
        content = self.body["messages"][-1]["content"]
        if isinstance(content, str):
            return [{"type": "text", "text": content}]
        return list(content)

    @property
    def text(self) -> str:
        return "".join(part["text"] for part in self.parts if part["type"] == "text")

    @property
    def picture(self) -> str:
        """The URL of its picture; empty without one."""
        urls = [part["image_url"]["url"] for part in self.parts if "image_url" in part]
        return "".join(urls)


class Wire:
    """The connection to which a script writes."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self._handler = handler
        self.sent_at: list[float] = []  # just before each piece of text

    def begin(self, **headers: str) -> None:
        self._head(200, HEADERS | headers)

    def refuse(self, status: int, body: object, **headers: str) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        length = {"Content-Length": str(len(text.encode()))}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._head(status, length | named)
        self._handler.wfile.write(text.encode())

    def whole(self, body: object) -> None:
        """An answer that is not streamed."""
        self.refuse(200, body, Content_Type="application/json")

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self._handler.send_response(status)
        for name, value in headers.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()

    def send(self, data: bytes) -> None:
        """One HTTP chunk, at once."""
        self._handler.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def frame(self, body: object) -> None:
        self.send(f"data: {json.dumps(body, ensure_ascii=False)}\n\n".encode())

    def piece(self, text: str) -> None:
        self.sent_at.append(time.perf_counter())
        self.frame(delta({"content": text}))

    def finish(self, tokens: int | None = None) -> None:
        """Ends an answer as the OpenAI API does."""
        self.frame(delta({}, "stop"))
        if tokens is not None:
            self.frame({"choices": [], "usage": {"completion_tokens": tokens}})
        self.send(b"data: [DONE]\n\n")
        self.end()

    def end(self) -> None:
        self._handler.wfile.write(b"0\r\n\r\n")

    def drop(self) -> None:
        """Closes the connection in mid-stream."""
        self._handler.close_connection = True
        self._handler.connection.shutdown(socket.SHUT_RDWR)


Script = Callable[[Wire, Request], None]


def delta(content: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    """A chunk of a streamed answer."""
    choice = {"index": 0, "delta": content, "finish_reason": finish_reason}
    return {"object": "chat.completion.chunk", "choices": [choice], "usage": None}


def answer_with(
    *pieces: str, pause_s: float = 0.0, tokens: int | None = None
) -> Script:
    """A script that answers with `pieces`, with a pause before each."""

    def script(wire: Wire, request: Request) -> None:
        wire.begin()
        wire.frame(delta({"role": "assistant", "content": ""}))
        for piece in pieces:
            time.sleep(pause_s)
            wire.piece(piece)
        wire.finish(tokens)

    return script


@dataclass
class ChatServer:
    """`requests` and `wires` are in order of arrival."""

    url: str
    script: Script
    requests: list[Request] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)


@contextmanager
def chat_server(script: Script) -> Iterator[ChatServer]:
    """Serves on a free port while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            at = time.perf_counter()
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.path in ("/v1/chat/completions", "/v1/rerank")
            request = Request(at, body, dict(self.headers), self.client_address)
            wire = Wire(self)
            server.requests.append(request)
            server.wires.append(wire)
            try:
                server.script(wire, request)
            except OSError:  # the client has hung up
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True  # some scripts never end

        def handle_error(self, request: Any, client_address: Any) -> None:
            if not isinstance(sys.exception(), OSError):  # a client has hung up
                super().handle_error(request, client_address)

    http = Server(("127.0.0.1", 0), Handler)
    server = ChatServer(f"http://127.0.0.1:{http.server_address[1]}", script)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
