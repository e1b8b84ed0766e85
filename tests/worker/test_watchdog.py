"""A worker ends itself when it can no longer be of use, and only then."""

from __future__ import annotations

import logging
import re
import threading
import time
from contextlib import closing, suppress
from types import SimpleNamespace
from typing import Any

import pytest

from edge.engine.engine import Engine
from edge.images import Picture
from edge.jobs.queue import queue_of
from edge.request import Message, Request
from edge.stubs.runtime import StubRuntime
from edge.stubs.vision import StubTower
from tests.conftest import wait_for
from tests.engine.asking import ask
from tests.jobs.jobs_harness import POOL
from tests.worker.worker_harness import Make
from worker import claiming, watchdog
from worker.watchdog import Watchdog

pytestmark = pytest.mark.redis

TEXT = Request((Message("user", ("hello",)),))


def is_at_rest(engine: Engine) -> bool:
    """Whether its thread waits for a question."""
    return engine.watch.silent_s == 0


def die() -> None:
    raise SystemExit


async def test_it_ends_with_a_dead_engine(make: Make, ends: list[str]) -> None:
    harness = make(faults={"hello": die})
    with harness.beating():
        wait_for(lambda: harness.latest_beat())
        assert ends == []
        harness.engine.submit(TEXT, {})
        wait_for(lambda: ends)
    assert ends == ["the engine is dead"]


async def test_it_ends_when_a_step_hangs(make: Make, ends: list[str]) -> None:
    go_on = threading.Event()
    harness = make(faults={"hello": lambda: go_on.wait(90)})
    with harness.beating(hang_s=0.3):
        harness.engine.submit(TEXT, {})
        wait_for(lambda: ends)
        go_on.set()
    [reason] = ends
    assert re.fullmatch(r"the engine has made no step for \d+ s", reason)


async def test_a_slow_machine_is_not_taken_for_a_hung_one(
    make: Make, ends: list[str]
) -> None:
    """Ten times its longest step is what it may take, if that is more."""
    harness = make(answer="ab", step_s=0.3)
    ticket = harness.engine.submit(TEXT, {})
    wait_for(lambda: harness.engine.watch.longest_s > 0.2)
    harness.engine.watch.longest_s = 30  # as if it had been slower still
    with harness.beating(hang_s=0.05):
        wait_for(lambda: ticket.events.qsize() >= 4)  # started, two texts, finished
    assert ends == []


async def test_an_idle_engine_does_not_hang(make: Make, ends: list[str]) -> None:
    harness = make()
    wait_for(lambda: is_at_rest(harness.engine))
    with harness.beating(hang_s=0.1):
        first = harness.latest_beat()
        wait_for(lambda: harness.latest_beat() > first + 0.3)
    assert ends == []


@pytest.mark.parametrize("fault", ["it hangs", "it dies"])
def test_it_ends_with_an_encoder_that_cannot_pause(
    ends: list[str], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """No step waits for it, so none tells."""
    monkeypatch.setattr(watchdog, "PICTURE_S", 0.3)
    tower, go_on = StubTower(n_stages=1), threading.Event()
    hangs, really_embed = fault == "it hangs", tower.embed

    def embed(*picture):
        if not hangs:
            die()
        go_on.wait(90)
        return really_embed(*picture)

    monkeypatch.setattr(tower, "embed", embed)
    with closing(Engine(StubRuntime(), tower)) as engine:
        unused: Any = None
        dog = Watchdog(engine, unused, unused, n_slots=1, hang_s=0.3)
        wait_for(lambda: is_at_rest(engine))
        dog.check_engine()
        ask(engine, "what?", Picture(64, 64, bytes(64 * 64 * 3)))
        if hangs:
            wait_for(lambda: engine.encoder.watch.silent_s > 0.3)
            wait_for(lambda: is_at_rest(engine))
        else:
            wait_for(lambda: not engine.is_alive)
        assert not ends
        with pytest.raises(SystemExit):
            dog.check_engine()
        go_on.set()
    [reason] = ends
    about = {"it dies": "the engine is dead", "it hangs": "the encoder has been at one"}
    assert reason.startswith(about[fault])


async def test_it_ends_when_threads_stay_held(
    make: Make, ends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    harness, go_on = make(), threading.Event()
    monkeypatch.setattr(
        harness.runtime, "tokenize", lambda *_, **__: go_on.wait(90) or []
    )
    await harness.ask()
    with harness.beating(hang_s=0.3), harness.answering():
        wait_for(lambda: ends)
        go_on.set()
    assert ends == ["all threads hold jobs, and none has reached the engine"]


async def test_it_ends_when_messages_lie_unheard_beside_a_free_slot(
    make: Make, ends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "STALL_S", 0.2)
    harness = make()
    with harness.beating():
        harness.sync.lpush(queue_of(POOL), "a message")
        wait_for(lambda: ends)
    assert ends == ["jobs wait beside a free slot, and the consumer does not hear them"]


@pytest.mark.parametrize("why", ["full", "heard", "taken"])
async def test_heard_messages_do_not_end_it(
    make: Make, ends: list[str], monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    harness = make()
    dog = Watchdog(harness.engine, harness.worker, harness.claiming, 1, hang_s=30)
    now = time.monotonic()
    for module in (claiming, watchdog):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    if why == "full":
        await harness.ask()
        assert harness.claiming.claim()
    for _ in range(7):
        harness.sync.lpush(queue_of(POOL), "a message")
        with suppress(SystemExit):
            dog.check_queue()
        now += 0.6 * watchdog.STALL_S
        if why == "heard":
            harness.claiming.claim()
        elif why == "taken":
            harness.sync.delete(queue_of(POOL))
            dog.check_queue()
    assert ends == []


def test_the_end_is_the_end_of_the_process(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(watchdog.os, "_exit", codes.append)
    with caplog.at_level(logging.CRITICAL):
        watchdog._end("the engine is dead")
    assert codes == [watchdog.EXIT_CODE]
    assert "this worker ends: the engine is dead" in caplog.text
