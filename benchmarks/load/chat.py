"""The measuring client: sends one request and reads its answer as it comes.

Plain http.client, whose `read1` returns what has arrived: clients that fill a block
first (iter_lines of requests: 512 bytes) measure their own buffer. Works the same in
threads and in gevent's greenlets. Knows nothing about Locust.
"""

from __future__ import annotations

import json
import select
import ssl
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from benchmarks.load.exchange import Exchange, HungUp, Patience, Reply
from edge.errors import SetupError

CONNECT_S = 10.0
CHAT = "chat/completions"  # behind /v1/

Message = Mapping[str, Any]


def request_body(
    messages: Sequence[Message],
    max_tokens: int | None = None,
    model: str = "",
    fields: Mapping[str, Any] | None = None,
) -> bytes:
    """The body of a request with some more `fields`. The server decides on what is None
    or empty."""
    body: dict[str, Any] = {
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if max_tokens is not None:
        body["max_tokens"] = max_tokens
    if model:
        body["model"] = model
    return json.dumps({**body, **(fields or {})}).encode()


def read_api_key(path: Path | str | None) -> str:
    """The API key in a file, "" without a path. Raises SetupError without the file."""
    if not path:
        return ""
    if not Path(path).is_file():
        raise SetupError(f"There is no file {path} with an API key.")
    return Path(path).read_text().strip()


class ChatClient:
    """One client of an OpenAI-compatible server, with one connection that it keeps."""

    def __init__(self, url: str, api_key: str = "", route: str = CHAT) -> None:
        """`url` as the openai client takes it, or without its /v1; `route` is what it
        asks behind /v1/.

        Raises SetupError unless it is an HTTP address.
        """
        address = _parse_address(url)
        host, port = address.hostname or "", address.port
        self._connection = (
            HTTPSConnection(host, port, context=ssl.create_default_context())
            if address.scheme == "https"
            else HTTPConnection(host, port)
        )
        root = address.path.rstrip("/").removesuffix("/v1")
        self._path = f"{root}/v1/{route}"
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
        }
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"

    def close(self) -> None:
        self._connection.close()

    def check_reachable(self) -> None:
        """Raises OSError when no server listens there."""
        self._connect(CONNECT_S)
        self.close()

    def ask(self, body: bytes, patience: Patience | None = None) -> Reply:
        """Sends `body` and reads the answer to its end; every failure is a `Reply`."""
        exchange = Exchange(patience or Patience())
        is_clean = False  # nothing of this exchange is left in the connection
        try:
            self._send(body, exchange)
            exchange.read_answer()
            is_clean = exchange.drain()
        except (OSError, HTTPException, HungUp) as error:
            exchange.conclude_early(error)
        finally:  # also when a greenlet is killed here
            if exchange.response:
                exchange.response.close()
            if not is_clean:
                self.close()
        return exchange.reply()

    def _send(self, body: bytes, exchange: Exchange) -> None:
        if self._is_stale():
            self.close()
        if self._connection.sock is None:
            self._connect(min(CONNECT_S, exchange.left_s() or CONNECT_S))
        # kept, because a connection forgets a socket that the server will close
        exchange.sock = self._connection.sock
        exchange.limit_next_wait()
        self._connection.request("POST", self._path, body, self._headers)
        exchange.limit_next_wait()
        exchange.response = self._connection.getresponse()

    def _connect(self, timeout_s: float) -> None:
        self._connection.timeout = timeout_s
        self._connection.connect()

    def _is_stale(self) -> bool:
        """Whether the server has closed the idle connection."""
        sock = self._connection.sock
        return sock is not None and bool(select.select([sock], [], [], 0)[0])


def _parse_address(url: str) -> SplitResult:
    """Raises SetupError unless `url` is an HTTP address."""
    try:
        address = urlsplit(url)
        _ = address.port  # raises ValueError unless it is a number
        if address.scheme in ("http", "https") and address.hostname:
            return address
    except ValueError:
        pass
    raise SetupError(
        f"{url!r} is not the address of a server. Give one like http://127.0.0.1:8080."
    )
