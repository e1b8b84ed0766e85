"""Real fixtures: a Redis server, the tiny model, a browser, the command `edge`.

A missing one skips the test with a reason on a developer's machine and fails it in CI,
so that a green run there means that everything ran.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from gguf import LlamaFileType
from hypothesis import settings
from playwright.sync_api import Browser, expect, sync_playwright

from bootstrap.debian import BROWSERS
from edge import redis_clients
from edge.errors import SetupError
from edge.gguf.layout import QWEN3_VL_2B, TINY, text_file, write_files
from edge.gguf.published_vocabulary import read_vocabulary
from edge.gguf.synthetic import N_TOKENS, write_synthetic
from edge.models.qwen3_tokenizer import fetch
from edge.models.registry import tiny_files
from edge.redis_clients import UNREACHABLE, sync_client
from edge.up.parts import free_port, redis_server

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
]

# Examples may be slow on a busy machine: they have no deadline.
settings.register_profile("edge", deadline=None)
settings.load_profile("edge")


def cannot(reason: str) -> None:
    """Skips, or fails where everything must run."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason} In CI this must run.")
    pytest.skip(reason)


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Returns as soon as `condition` holds; fails the test when it does not in time."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"not within {seconds} s"
        time.sleep(0.05)


@contextmanager
def patient_redis() -> Iterator[None]:
    """Clients of this process wait a minute for a server that stands still."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redis_clients, "TIMEOUT_S", 60)
        patch.setitem(redis_clients._OPTIONS, "socket_connect_timeout", 60)
        yield


@pytest.fixture(autouse=True)
def ordinary_priority() -> Iterator[None]:
    """SVT-AV1, which writes a video for a test, lets the thread that calls it run in
    real time if it may. Stacks that later tests start would inherit that, and starve
    the servers of other tests."""
    yield
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@pytest.fixture(scope="session", autouse=True)
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data folder of every command: tests leave the developer's own alone."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGE_DATA_DIR", str(folder))
        yield folder


@contextmanager
def running_redis() -> Iterator[str]:
    """The URL of a real Redis-compatible server of its own, with a password."""
    port, password = free_port(), secrets.token_hex(8)
    config = f"bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ''\n"
    process = subprocess.Popen(
        [redis_server(), "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert process.stdin
    process.stdin.write(config.encode())
    process.stdin.close()
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    client = sync_client(url)

    def answers() -> bool:
        try:
            return bool(client.ping())
        except UNREACHABLE:
            return False

    wait_for(answers)
    yield url
    client.close()
    process.terminate()
    process.wait(60)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A server of this test run."""
    with running_redis() as url:
        yield url


@pytest.fixture
def broker_url(redis_url: str) -> Iterator[str]:
    """The same server, emptied."""
    with patient_redis():
        client = sync_client(redis_url)
        client.flushall()
        client.close()
        yield redis_url


@pytest.fixture(scope="session")
def tiny() -> tuple[Path, Path]:
    """The two files of the bundled model, whose answers are right."""
    files = tiny_files()
    return files.model, files.mmproj


@pytest.fixture(scope="session")
def qwen3() -> Path:
    """A folder with the published tokenizer.json and tokenizer_config.json of Qwen3.
    Fetched once, and kept for the next run."""
    try:
        return fetch(Path("~/.cache/edge-vl").expanduser())
    except SetupError as error:
        cannot(error.message)
        raise


@pytest.fixture(scope="session")
def qwen3_gguf(qwen3: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF file of Qwen's true vocabulary, without weights."""
    words = read_vocabulary(qwen3 / "tokenizer.json", N_TOKENS)
    label = "qwen3", "", LlamaFileType.ALL_F32
    folder = tmp_path_factory.mktemp("qwen3")
    with closing(text_file(QWEN3_VL_2B, words, *label)) as file:
        write_files(folder, {"vocabulary.gguf": file})
    return folder / "vocabulary.gguf"


@pytest.fixture(scope="session")
def towers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for vision towers that are compiled once for the whole run."""
    return tmp_path_factory.mktemp("towers")


@pytest.fixture(scope="session")
def babble(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two files of random weights: a model that never ends its answers, and takes
    pictures of any size."""
    shapes = replace(TINY, min_image_tokens=0, max_image_tokens=0)
    kinds = {"quant": "F16", "mmproj": "F16"}
    folder = tmp_path_factory.mktemp("babble")
    return write_synthetic(folder, shapes=shapes, n_tokens=1024, **kinds)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    cannot("No Chromium is installed: apt-get install chromium-headless-shell.")
    raise AssertionError


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """A Chromium that connects to this machine only. Not for the whole session: its
    event loop would be in the way of asynchronous tests."""
    expect.set_options(timeout=20_000)  # on two cores that compute answers too
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield one
        one.close()


@pytest.fixture(scope="session")
def edge() -> str:
    """The command `edge` of this environment."""
    return str(Path(sys.executable).with_name("edge"))
