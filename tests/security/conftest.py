"""A real web process on loopback, to be attacked from several addresses."""

from __future__ import annotations

import http.client
import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image

from edge.up.parts import free_port
from tests.conftest import running_redis, wait_for
from tests.rendered_page import give_page

PATIENCE_S = 60


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Site:
    """A web process, or an nginx before one, at a port of this machine."""

    def __init__(self, port: int, patience_s: float = PATIENCE_S) -> None:
        self.port = port
        self._patience_s = patience_s

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        source: str = "127.0.0.1",
        **headers: str,
    ) -> Answer:
        """`headers` have `_` for `-`. Other sources are other callers."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(
            "127.0.0.1",
            self.port,
            timeout=self._patience_s,
            source_address=(source, 0),
        )
        with closing(connection):
            connection.request(method, path, body, named)
            reply = connection.getresponse()
            whole = reply.read()
        return Answer(reply.status, reply.headers, whole)

    def tell(self, path: str, body: Any, **options: str) -> Answer:
        """A POST of JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask("POST", path, raw, content_type="application/json", **options)


class Web(Site):
    """`python -m ui` as `edge up` starts it."""

    def __init__(self, folder: Path, broker_url: str, **settings: str) -> None:
        super().__init__(free_port())
        self.log = folder / "ui.log"
        environ = {k: v for k, v in os.environ.items() if not k.startswith("EDGE_")}
        environ |= {"EDGE_BROKER_URL": broker_url, "EDGE_CACHE_URL": broker_url}
        environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
        environ |= {"TMPDIR": str(folder)}
        environ |= {"HOME": str(folder), "EDGE_DATA_DIR": str(folder / "data")}
        give_page(folder / "data")
        environ |= {f"EDGE_{name.upper()}": value for name, value in settings.items()}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ui", "--port", str(self.port)],
                env=environ,
                cwd=folder,
                stdout=log,
                stderr=log,
            )
        wait_for(self.answers, 180)

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.ask("GET", "/health").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(60)


@pytest.fixture(scope="session")
def start_web(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., Web]]:
    """Starts a web process, without any worker. It has a broker of its own, because it
    reconciles what it finds there."""
    running: list[Web] = []
    with running_redis() as url:

        def start(**settings: str) -> Web:
            running.append(Web(tmp_path_factory.mktemp("web"), url, **settings))
            return running[-1]

        yield start
        for web in running:
            web.stop()


@pytest.fixture(scope="session")
def web(start_web: Callable[..., Web]) -> Web:
    """One for all attacks: it must survive them."""
    return start_web()


@pytest.fixture(scope="session")
def png() -> bytes:
    """A small picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, "PNG")
    return buffer.getvalue()


def refused(
    answer: Answer, status: int, code: str, path: str = "/v1/"
) -> dict[str, Any]:
    """The error of an answer that refuses, in the shape of the API of `path`."""
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/json"
    error = answer.json()["error"]
    if path.startswith("/api/"):  # Ollama's errors are a sentence
        assert isinstance(error, str)
        return {"message": error}
    assert {*error} - {"retry_after_s"} == {"message", "type", "param", "code"}
    if again := error.get("retry_after_s"):
        assert answer.headers["Retry-After"] == str(again)
    assert error["code"] == code
    return dict(error)


def canary() -> socket.socket:
    """A server that must get no call."""
    return socket.create_server(("127.0.0.1", 0))
