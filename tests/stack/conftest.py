"""The whole system as a user starts it, with `edge up`, on ports of its own."""

from __future__ import annotations

import base64
import io
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from PIL import Image, ImageDraw

from edge.up.parts import free_port
from tests.conftest import wait_for

READY_S = 180  # on a busy machine; three seconds on an idle one
SIZE = (1200, 900)


class Stack:
    """A running `edge up`."""

    def __init__(
        self, command: str, folder: Path, *options: str, **settings: str
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data_dir = folder / "data"
        self.output = folder / "output.txt"
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
        return self.process.wait(60)


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
