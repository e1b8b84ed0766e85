"""The measuring client: one question over HTTP, its answer heard as it comes.

Plain http.client, whose `read1` gives what has arrived, however little: clients that
collect a block first (requests' iter_lines: 512 bytes) measure their own buffer. It
works the same in threads and in gevent's greenlets. Knows nothing about Locust.
"""

from __future__ import annotations

import json
import select
import ssl
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.load.exchange import Exchange, HungUp, Patience, Reply
from edge.errors import SetupError

CONNECT_S = 10.0

Message = Mapping[str, Any]


def request_body(
    messages: Sequence[Message], max_tokens: int = 0, model: str = ""
) -> bytes:
    """The body of a request; what is 0 or empty is left to the server."""
    fields: dict[str, Any] = {
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if max_tokens:
        fields["max_tokens"] = max_tokens
    if model:
        fields["model"] = model
    return json.dumps(fields).encode()


def read_api_key(path: Path | str | None) -> str:
    """A server's API key out of a file. Raises SetupError when there is no file."""
    if not path:
        return ""
    if not Path(path).is_file():
        raise SetupError(f"There is no file {path} with an API key.")
    return Path(path).read_text().strip()


class ChatClient:
    """One client of an OpenAI-compatible server, with one connection that it keeps."""

    def __init__(self, url: str, api_key: str = "") -> None:
        """`url` as the openai client takes it, or without its /v1.

        Raises SetupError when it is none.
        """
        self._connection, path = _connection(url)
        self._path = path.rstrip("/").removesuffix("/v1") + "/v1/chat/completions"
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
        }
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"

    def close(self) -> None:
        self._connection.close()

    def check_reachable(self) -> None:
        """Raises OSError when nobody listens there."""
        self._connect(CONNECT_S)
        self.close()

    def ask(self, body: bytes, patience: Patience | None = None) -> Reply:
        """Sends `body` and hears the answer to its end; every failure is a `Reply`."""
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
        # kept here, because a connection forgets a socket that the server will close
        exchange.sock = self._connection.sock
        exchange.await_next()
        self._connection.request("POST", self._path, body, self._headers)
        exchange.await_next()
        exchange.response = self._connection.getresponse()

    def _connect(self, timeout_s: float) -> None:
        self._connection.timeout = timeout_s
        self._connection.connect()

    def _is_stale(self) -> bool:
        """Whether the server has closed the kept connection, as it may when idle."""
        sock = self._connection.sock
        return sock is not None and bool(select.select([sock], [], [], 0)[0])


def _connection(url: str) -> tuple[HTTPConnection, str]:
    """A connection to the server of `url`, not opened yet, and the path there."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        if parts.scheme == "https" and host:
            context = ssl.create_default_context()
            return HTTPSConnection(host, port, context=context), parts.path
        if parts.scheme == "http" and host:
            return HTTPConnection(host, port), parts.path
    except ValueError:  # a port that is no number
        pass
    raise SetupError(
        f"{url!r} is no server's address. Give one like http://127.0.0.1:8080."
    )
