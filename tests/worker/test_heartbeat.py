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

    def hang() -> None:
        hung.set()
        go_on.wait(5)

    harness = make(faults={"hello": hang})
    with harness.beating():
        wait_for(lambda: harness.latest_beat())
        harness.engine.submit(TEXT, {})
        assert hung.wait(5)
        wait_for(lambda: harness.engine.watch.silent_s > 0.2)
        before = harness.latest_beat()
        wait_for(lambda: harness.engine.watch.silent_s > 0.5)
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
        assert go_on.wait(10)
        return really_tokenize(text, special=special)

    really_tokenize = harness.runtime.tokenize
    monkeypatch.setattr(harness.runtime, "tokenize", tokenize)
    await harness.ask()
    with harness.beating(n_slots=2), harness.answering(seconds=10):
        wait_for(lambda: harness.claiming.n_running == 1)
        before = harness.latest_beat()
        wait_for(lambda: harness.latest_beat() > before + 0.5)  # one thread is free
        await harness.ask(text="another")
        with harness.answering(seconds=10):
            wait_for(lambda: harness.claiming.n_running == 2)
            wait_for(lambda: not harness.is_beating())
            go_on.set()
            wait_for(lambda: harness.is_beating())
    assert ends == []


async def test_it_beats_again_when_the_broker_is_back(
    make: Make, ends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages that lay there meanwhile do not count as unheard."""
    monkeypatch.setattr(watchdog, "STALL_S", 0.4)
    harness, n_failed, really_beat = make(), 0, Heart.beat

    def beat(heart: Heart) -> None:
        nonlocal n_failed
        if n_failed < 20:
            n_failed += 1
            raise redis.ConnectionError("away")
        really_beat(heart)

    monkeypatch.setattr(Heart, "beat", beat)
    harness.sync.lpush(queue_of(POOL), "a message")
    with harness.beating():
        wait_for(lambda: harness.latest_beat())
        assert n_failed == 20
        assert ends == []
        harness.sync.delete(queue_of(POOL))
