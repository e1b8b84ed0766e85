"""An attacker at one address, and its ways to misuse connections."""

from __future__ import annotations

import http.client
import itertools
import json
import secrets
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from typing import Any

from tests.security.conftest import Answer, Site

CHAT = "/v1/chat/completions"
PATIENCE_S = 60.0  # an answer that takes longer is counted as none
N_HELD = 200  # connections that send nothing more
SLOW_S = 5.0

Attack = Callable[["Attacker"], Answer | None]


class Attacker(Site):
    """A stranger at one address."""

    def __init__(self, port: int, address: str) -> None:
        super().__init__(port, PATIENCE_S)
        self.address = address

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        source: str = "",
        **headers: str,
    ) -> Answer:
        return super().ask(method, path, body, source or self.address, **headers)

    def chat(self, body: dict[str, Any], **headers: str) -> Answer:
        return self.tell(CHAT, body, **headers)

    def connect(self) -> socket.socket:
        where = ("127.0.0.1", self.port)
        return socket.create_connection(where, PATIENCE_S, (self.address, 0))


def question(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 24} | more


def head(body: bytes, n_bytes: int | None = None) -> bytes:
    """The beginning of a question that says how long it will be."""
    said = len(body) if n_bytes is None else n_bytes
    return (
        b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % (CHAT.encode(), said)
    )


def hang_up_while_answered(site: Attacker) -> None:
    text = secrets.token_hex(8)
    more = {"stream": True, "temperature": 1.0, "max_tokens": 256}
    body = json.dumps(question(text, **more)).encode()
    with closing(site.connect()) as connection:
        connection.sendall(head(body) + body)
        connection.recv(1)


def hang_up_while_asking(site: Attacker) -> None:
    body = json.dumps(question(secrets.token_hex(8), max_tokens=256)).encode()
    with closing(site.connect()) as connection:
        connection.sendall(head(body, 31_000_000) + body)
    with closing(site.connect()) as connection:
        connection.sendall(head(body) + body)


GARBAGE = itertools.cycle(
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(64),
        b"GET http://169.254.169.254/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        b"GET /metrics HTTP/1.1\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"a: b\r\n" * 20_000,
        b"\0" * 100_000,
    ]
)


def garbage(site: Attacker) -> None:
    with closing(site.connect()) as connection:
        connection.sendall(next(GARBAGE))
        connection.settimeout(1)
        connection.recv(1 << 16)


_held: deque[socket.socket] = deque()


def hold(site: Attacker) -> None:
    """One more connection with half a question or half a header, that stays."""
    connection = site.connect()
    begun = head(b"x", 1_000_000)
    connection.sendall(begun + b'{"messages": [' if len(_held) % 2 else begun[:60])
    _held.append(connection)
    if len(_held) > N_HELD:
        _held.popleft().close()


def drip(site: Attacker) -> None:
    """A byte now and then."""
    body = json.dumps(question(secrets.token_hex(8))).encode()
    whole, began = head(body) + body, time.monotonic()
    with closing(site.connect()) as connection:
        for byte in whole:
            connection.send(bytes([byte]))
            time.sleep(0.2)
            if time.monotonic() - began > SLOW_S:
                return


FAILED = (OSError, http.client.HTTPException)


def outcome(attack: Attack, site: Attacker) -> str:
    """The status of an attack, or in a word how it ended without one."""
    try:
        answer = attack(site)
    except TimeoutError:
        return "no answer"
    except FAILED:
        return "cut"
    return str(answer.status) if answer else "hung up"
