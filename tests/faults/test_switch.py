"""What goes wrong while the default model is switched, under a real `edge up`."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from edge.jobs.switching import Switch, Switching
from edge.models.registry import write_tiny_quant
from edge.redis_clients import UNREACHABLE, sync_client
from tests.conftest import wait_for
from tests.faults.service import Server
from tests.stack.conftest import Stack, running

pytestmark = [pytest.mark.redis, pytest.mark.faults, pytest.mark.slow]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Server]:
    one = Server(tmp_path / "broker")
    yield one
    one.kill()


@pytest.fixture
def stack(edge: str, broker: Server, tmp_path: Path) -> Iterator[Stack]:
    write_tiny_quant("tiny-q8", tmp_path / "data" / "models")
    with running(edge, tmp_path, "--no-nginx", broker_url=broker.url) as one:
        yield one


def workers(stack: Stack) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(stack.process.pid).children():
        with suppress(psutil.NoSuchProcess):  # it ends at this moment
            if child.cmdline()[-2:] == ["-m", "worker"]:
                found.append(child)
    return found


def ask(stack: Stack, text: str) -> str:
    """The model that answers a question without a name."""
    body = {"max_tokens": 4, "messages": [{"role": "user", "content": text}]}
    reply = httpx.post(f"{stack.url}/v1/chat/completions", json=body, timeout=60)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["model"])


def until_over(broker: Server) -> Switch:
    """The latest switch when it is over; the broker may be away for a while."""
    switching = Switching(sync_client(broker.url))
    found: list[Switch] = []

    def is_over() -> bool:
        with suppress(*UNREACHABLE):
            found[:] = filter(None, [switching.latest()])
        return bool(found and found[0].is_over)

    wait_for(is_over, 90)
    return found[0]


def test_a_worker_that_is_killed_while_it_loads_changes_nothing(
    stack: Stack, broker: Server
) -> None:
    before = workers(stack)
    Switching(broker.client).switch_to("tiny-q8")
    wait_for(lambda: len(workers(stack)) > len(before), 30)
    [new] = set(workers(stack)) - set(before)
    os.kill(new.pid, signal.SIGKILL)
    switch = until_over(broker)
    assert switch.state == "failed"
    assert "killed by SIGKILL" in switch.message
    assert "tiny serves on" in switch.message
    assert ask(stack, "after") == "tiny"
    assert workers(stack) == before
    Switching(broker.client).switch_to("tiny-q8")  # and now it works
    assert until_over(broker).state == "done"
    assert ask(stack, "again") == "tiny-q8"


def test_a_worker_that_is_killed_in_the_gap_brings_the_old_model_back(
    stack: Stack, broker: Server
) -> None:
    before = workers(stack)
    Switching(broker.client).switch_to("tiny-q8", with_gap=True)
    wait_for(lambda: not set(before) & set(workers(stack)), 60)
    wait_for(lambda: bool(workers(stack)), 30)
    os.kill(workers(stack)[0].pid, signal.SIGKILL)
    assert until_over(broker).state == "failed"
    assert ask(stack, "after") == "tiny"


def test_a_restart_of_the_broker_leaves_one_model_that_answers(
    stack: Stack, broker: Server
) -> None:
    """The new one, or the old one where the new one ended because it could not reach
    the broker while it loaded."""
    before = workers(stack)
    Switching(broker.client).switch_to("tiny-q8")
    wait_for(lambda: len(workers(stack)) > len(before), 30)
    broker.kill()
    time.sleep(1)
    broker.start()
    switch = until_over(broker)
    wait_for(lambda: len(workers(stack)) == 1, 60)
    served = "tiny-q8" if switch.state == "done" else "tiny"
    wait_for(lambda: asked(stack, "after") == served, 30)
    if served == "tiny":
        assert "tiny serves on" in switch.message
        Switching(broker.client).switch_to("tiny-q8")
        assert until_over(broker).state == "done"
        assert ask(stack, "again") == "tiny-q8"


def asked(stack: Stack, text: str) -> str:
    """The same; nothing while the service finds its broker again."""
    with suppress(AssertionError, httpx.HTTPError):
        return ask(stack, text)
    return ""
