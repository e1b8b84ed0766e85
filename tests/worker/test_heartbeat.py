"""A worker beats while questions can be answered by it, and then only."""

from __future__ import annotations

import threading

import pytest
import redis

from edge.jobs.fleet import Fleet, Heart
from edge.jobs.queue import queue_of
from edge.request import Message, Request
from tests.conftest import wait_for
from tests.jobs.jobs_harness import POOL
from tests.worker.worker_harness import Make, WorkerHarness
from worker import watchdog
from worker.watchdog import Watchdog

pytestmark = pytest.mark.redis

TEXT = Request((Message("user", ("hello",)),))


async def n_workers(harness: WorkerHarness) -> int:
    return len(await Fleet(harness.asynchronous).workers())


async def test_it_is_in_the_fleet_until_it_is_closed(
    make: Make, ends: list[str]
) -> None:
    harness = make()
    with harness.beating():
        wait_for(lambda: harness.latest_beat())
        first = harness.latest_beat()
        wait_for(lambda: harness.latest_beat() > first)
        assert await n_workers(harness) == 1
    assert await n_workers(harness) == 0
    assert ends == []


async def test_it_does_not_beat_during_an_overlong_step(
    make: Make, ends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """New questions avoid a worker that may hang, until it steps again."""
    monkeypatch.setattr(watchdog, "SILENT_S", 0.1)
    hung, go_on = threading.Event(), threading.Event()
    n_loops, really_check = 0, Watchdog.check_engine

    def hang() -> None:
        hung.set()
        go_on.wait(90)

    def check_engine(dog: Watchdog) -> None:
        nonlocal n_loops
        n_loops += 1
        really_check(dog)

    def wait_loops(n: int) -> None:
        """Until `n` loops of the heartbeat have ended that begin from now on."""
        begun = n_loops
        wait_for(lambda: n_loops > begun + n)

    monkeypatch.setattr(Watchdog, "check_engine", check_engine)
    harness = make(faults={"hello": hang})
    with harness.beating():
        wait_for(lambda: harness.latest_beat())
        harness.engine.submit(TEXT, {})
        assert hung.wait(60)
        watch = harness.engine.watch
        wait_for(lambda: watch.silent_s > max(0.2, 3 * watch.longest_s))
        wait_loops(1)
        before = harness.latest_beat()
        wait_loops(10)
        assert harness.latest_beat() == before
        go_on.set()
        wait_for(lambda: harness.latest_beat() > before)
    assert ends == []


async def test_it_does_not_beat_while_all_threads_are_held(
    make: Make, ends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By jobs that do not reach the engine; when they do, it beats again."""
    monkeypatch.setattr(watchdog, "SILENT_S", 0.2)
    harness, go_on = make(), threading.Event()

    def tokenize(text: str, *, special: bool) -> list[int]:
        assert go_on.wait(90)
        return really_tokenize(text, special=special)

    really_tokenize = harness.runtime.tokenize
    monkeypatch.setattr(harness.runtime, "tokenize", tokenize)
    await harness.ask()
    with harness.beating(n_slots=2), harness.answering():
        wait_for(lambda: harness.claiming.n_running == 1)
        before = harness.latest_beat()
        wait_for(lambda: harness.latest_beat() > before + 0.5)  # one thread is free
        await harness.ask(text="another")
        with harness.answering():
            wait_for(lambda: harness.claiming.n_running == 2)
            wait_for(lambda: not harness.is_beating())
            go_on.set()
            wait_for(lambda: harness.is_beating())
    assert ends == []


async def test_it_beats_again_when_the_broker_is_back(
    make: Make, ends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages that lay there meanwhile do not count as unheard."""
    monkeypatch.setattr(watchdog, "STALL_S", 0.2)
    harness, n_beats, really_beat = make(), 0, Heart.beat

    def beat(heart: Heart) -> None:
        nonlocal n_beats
        n_beats += 1
        if 1 < n_beats < 22:  # for more than STALL_S
            raise redis.ConnectionError("away")
        if n_beats > 22:  # from now on it may lie there
            monkeypatch.setattr(watchdog, "STALL_S", 90)
        really_beat(heart)

    monkeypatch.setattr(Heart, "beat", beat)
    harness.sync.lpush(queue_of(POOL), "a message")
    with harness.beating():
        wait_for(lambda: ends or n_beats > 23)
        assert ends == []
        harness.sync.delete(queue_of(POOL))
