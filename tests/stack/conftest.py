"""The whole system as a user starts it, with `edge up`, on ports of its own."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import httpx2
import psutil
import pytest
from openai import DefaultAsyncHttpxClient, DefaultHttpxClient
from PIL import Image, ImageDraw

from tests.conftest import wait_for
from tests.rendered_page import give_page

READY_S = 180  # on a busy machine; three seconds on an idle one
ASK_S = 120.0  # for one answer
# Sooner than a job that nobody watches ends, by WATCH_S and MISS_S.
LEAVES_S = 10.0
SIZE = (1200, 900)

# On a busy machine a worker that stood still for seconds counts as dead, and a web
# process or an nginx is started again. What lasts longer is a fault.
AWAY = (502, 503)
CUT = (
    *(httpx.NetworkError, httpx.RemoteProtocolError),
    *(httpx2.NetworkError, httpx2.RemoteProtocolError),
)
N_TRIES = 60  # a second apart


def insist(send: Callable[[Any], Any], request: Any) -> Any:
    """The response to a request that is sent again while a part of the stack is
    away."""
    request.read()  # so that it can be sent again
    for _ in range(N_TRIES - 1):
        with suppress(*CUT):
            reply = send(request)
            if reply.status_code not in AWAY:
                return reply
            reply.close()
        time.sleep(1)
    return send(request)


class Patient(httpx.HTTPTransport):
    """Insists."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        reply: httpx.Response = insist(super().handle_request, request)
        return reply


class PatientSdk(httpx2.HTTPTransport):
    """The same for the clients of OpenAI and Anthropic."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        reply: httpx2.Response = insist(super().handle_request, request)
        return reply


class AsyncPatientSdk(httpx2.AsyncHTTPTransport):
    """The same for their asynchronous clients."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        for _ in range(N_TRIES - 1):
            with suppress(*CUT):
                reply = await super().handle_async_request(request)
                if reply.status_code not in AWAY:
                    return reply
                await reply.aclose()
            await asyncio.sleep(1)
        return await super().handle_async_request(request)


def rounds(enough: float) -> Iterator[list[float]]:
    """Up to three rounds of a measure, which appends what it finds, until one is below
    `enough`: a busy machine spoils one, a fault spoils all."""
    found: list[float] = []
    while len(found) < 3 and min(found, default=enough) >= enough:
        yield found


def own_port() -> int:
    """A free port that nobody else takes before a part of a stack listens there: other
    ports are chosen above these, and no two workers of xdist choose the same ones."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    n_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    while True:
        port = 11_000 + n_workers * secrets.randbelow(8_000 // n_workers) + number
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Stack:
    """A running `edge up`."""

    def __init__(
        self, command: str, folder: Path, *options: str, **settings: str
    ) -> None:
        self.port = own_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data_dir = folder / "data"
        self.output = folder / "output.txt"
        give_page(self.data_dir)
        environ = {k: v for k, v in os.environ.items() if not k.startswith("EDGE_")}
        # the tiny model is fastest with one thread, and tests share two cores
        environ |= {"EDGE_DATA_DIR": str(self.data_dir), "EDGE_THREADS": "1"}
        environ |= {"EDGE_MODEL": "tiny"}
        environ |= {f"EDGE_{name.upper()}": value for name, value in settings.items()}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [command, "up", "--port", str(self.port), *options],
                env=environ,
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def client(self) -> httpx.Client:
        """One that waits for what is away for a moment; so do the others."""
        return httpx.Client(base_url=self.url, transport=Patient(), timeout=ASK_S)

    def sdk_client(self) -> httpx2.Client:
        """For OpenAI's and Anthropic's, which closes it."""
        return DefaultHttpxClient(transport=PatientSdk(), timeout=ASK_S)

    def async_sdk_client(self) -> httpx2.AsyncClient:
        return DefaultAsyncHttpxClient(transport=AsyncPatientSdk(), timeout=ASK_S)

    def get(self, path: str, **more: Any) -> httpx.Response:
        """Also while a part is away for a moment; so does `post`."""
        with self.client() as client:
            return client.get(path, **more)

    def post(self, path: str, body: Any, **more: Any) -> httpx.Response:
        with self.client() as client:
            return client.post(path, json=body, **more)

    def said(self) -> str:
        return self.output.read_text()

    def wait_ready(self) -> None:
        wait_for(lambda: "Open http" in self.said() or self.has_ended, READY_S)
        assert not self.has_ended, self.said()

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, *words: str) -> psutil.Process:
        """The child whose command line holds all `words`."""
        [found] = [
            child
            for child in psutil.Process(self.process.pid).children()
            if all(word in child.cmdline() for word in words)
        ]
        return found

    def stop(self, kind: signal.Signals = signal.SIGTERM) -> int:
        if not self.has_ended:
            self.process.send_signal(kind)
        return self.process.wait(120)


@contextmanager
def running(
    command: str, folder: Path, *options: str, **settings: str
) -> Iterator[Stack]:
    stack = Stack(command, folder, *options, **settings)
    try:
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="session")
def stack(edge: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for all tests that only ask questions."""
    with running(edge, tmp_path_factory.mktemp("stack")) as one:
        yield one


@pytest.fixture(scope="session")
def slow_stack(
    edge: str, babble: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """One slot, and answers long enough for a test to interrupt them."""
    folder = tmp_path_factory.mktemp("slow")
    with running(edge, folder, **long_answers(babble, 1, 20_000)) as one:
        yield one


@pytest.fixture(scope="module")
def talkative(
    edge: str, babble: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Two slots, and answers that are long."""
    folder = tmp_path_factory.mktemp("talkative")
    with running(edge, folder, **long_answers(babble, 2, 9_000)) as one:
        yield one


def long_answers(
    babble: tuple[Path, Path], n_slots: int, n_tokens: int
) -> dict[str, str]:
    """Settings of a stack whose model never ends an answer by itself."""
    model, mmproj = map(str, babble)
    sizes = {"slots": str(n_slots), "answer_tokens": str(n_tokens)}
    return sizes | {"context_tokens": "24000", "model": model, "mmproj": mmproj}


def drawing(
    colour: str = "red",
    i: int = 0,
    size: tuple[int, int] = SIZE,
    shape: str = "circle",
) -> bytes:
    """A drawing as JPEG bytes: one shape, at a place that depends on `i`."""
    image = Image.new("RGB", size, "white")
    x, y = 40 + 53 * i % (size[0] // 2), 30 + 31 * i % (size[1] // 2)
    pen, box = ImageDraw.Draw(image), (x, y, x + 300, y + 300)
    if shape == "circle":
        pen.ellipse(box, fill=colour)
    elif shape == "square":
        pen.rectangle(box, fill=colour)
    else:
        pen.polygon([(x, y + 300), (x + 150, y), (x + 300, y + 300)], fill=colour)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def draw() -> Callable[..., bytes]:
    return drawing


@pytest.fixture
def pictures(draw: Callable[..., bytes], tmp_path: Path) -> list[Path]:
    """A red disc and a blue square."""
    paths = [tmp_path / "disc.jpg", tmp_path / "square.jpg"]
    paths[0].write_bytes(draw("red"))
    paths[1].write_bytes(draw("blue", shape="square"))
    return paths


@pytest.fixture(scope="session")
def data_url(draw: Callable[..., bytes]) -> Callable[..., str]:
    def one(*args: object, **options: object) -> str:
        return (
            "data:image/jpeg;base64,"
            + base64.b64encode(draw(*args, **options)).decode()
        )

    return one
