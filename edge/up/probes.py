"""Whether a server answers over HTTP, without a proxy."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable

TIMEOUT_S = 2.0  # enough for a working process on a busy machine


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket at `path`."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def http_answers(where: str, path: str) -> Callable[[], bool]:
    """A probe: whether GET `path` at `where` (HOST:PORT or `unix:PATH`) returns 200."""

    def ask() -> bool:
        connection = _connection(where)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return ask


def _connection(where: str) -> http.client.HTTPConnection:
    if where.startswith("unix:"):
        return _UnixConnection(where.removeprefix("unix:"))
    return http.client.HTTPConnection(where, timeout=TIMEOUT_S)
