"""A worker beats while it can be of use, and ends itself when it cannot."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import pytest
import redis

from edge.jobs.fleet import FLEET, Fleet, Heart, WorkerInfo
from edge.jobs.queue import queue_of
from edge.request import Message, Request
from edge.stubs.runtime import StubRuntime
from tests.conftest import wait_for
from tests.jobs.jobs_harness import POOL
from tests.worker.worker_harness import WorkerHarness
from worker import heartbeat
from worker.heartbeat import Heartbeat

pytestmark = pytest.mark.redis

WORKER = WorkerInfo("here-1", "stub", "f", "stub", n_slots=1)
TEXT = Request((Message("user", ("hello",)),))


def die() -> None:
    raise SystemExit


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Why workers have ended. In truth that is `os._exit`; here a thread ends."""
    reasons: list[str] = []
    complain = threading.excepthook

    def end(reason: str) -> None:
        reasons.append(reason)
        raise SystemExit

    def hook(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is not SystemExit:
            complain(args)

    monkeypatch.setattr(threading, "excepthook", hook)
    monkeypatch.setattr(heartbeat, "_end", end)
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.02)
    return reasons


@contextmanager
def beating(
    harness: WorkerHarness, hang_s: float = 30, n_slots: int = 1
) -> Iterator[Heartbeat]:
    heart = Heart(harness.sync, WORKER)
    one = Heartbeat(
        heart, harness.engine, harness.worker, harness.claiming, n_slots, hang_s
    )
    try:
        yield one
    finally:
        one.close()
        one._thread.join(5)


Make = Callable[..., WorkerHarness]


@pytest.fixture
async def make(broker_url: str) -> AsyncIterator[Make]:
    """Harnesses over a stub of the test's choice."""
    made: list[WorkerHarness] = []

    def harness(**stub: object) -> WorkerHarness:
        made.append(WorkerHarness(broker_url, StubRuntime(**stub)))
        return made[-1]

    yield harness
    for one in made:
        await one.close()


async def n_workers(harness: WorkerHarness) -> int:
    return len(await Fleet(harness.asynchronous).workers())


def latest_beat(harness: WorkerHarness) -> float:
    return harness.sync.zscore(FLEET, WORKER.name) or 0.0


async def test_it_is_in_the_fleet_until_it_is_closed(
    make: Make, ends: list[str]
) -> None:
    harness = make()
    with beating(harness):
        wait_for(lambda: latest_beat(harness))
        first = latest_beat(harness)
        wait_for(lambda: latest_beat(harness) > first)
        assert await n_workers(harness) == 1
    assert await n_workers(harness) == 0
    assert ends == []


async def test_it_ends_with_a_dead_engine(make: Make, ends: list[str]) -> None:
    harness = make(faults={"hello": die})
    with beating(harness):
        wait_for(lambda: latest_beat(harness))
        assert ends == []
        harness.engine.submit(TEXT, {})
        wait_for(lambda: ends)
    assert ends == ["the engine is dead"]


async def test_it_ends_when_a_step_hangs(make: Make, ends: list[str]) -> None:
    harness = make(step_s=1.2)
    with beating(harness, hang_s=0.3):
        harness.engine.submit(TEXT, {})
        wait_for(lambda: ends, 1.1)
    assert ends == ["the engine has made no step for 0 s"]


async def test_a_slow_machine_is_not_taken_for_a_hung_one(
    make: Make, ends: list[str]
) -> None:
    """Ten times its longest step is what it may take, if that is more."""
    harness = make(answer="ab", step_s=0.3)
    ticket = harness.engine.submit(TEXT, {})
    wait_for(lambda: harness.engine.longest_turn_s > 0.2)
    with beating(harness, hang_s=0.05):
        wait_for(lambda: ticket.events.qsize() >= 4)  # started, two texts, finished
    assert ends == []


async def test_an_idle_engine_does_not_hang(make: Make, ends: list[str]) -> None:
    harness = make()
    with beating(harness, hang_s=0.1):
        first = latest_beat(harness)
        wait_for(lambda: latest_beat(harness) > first + 0.3)
    assert ends == []


async def test_it_does_not_beat_while_a_turn_is_overlong(
    make: Make, ends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody new is sent to a worker that may hang; it is back when it does not."""
    monkeypatch.setattr(heartbeat, "SILENT_S", 0.1)
    hung, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        hung.set()
        go_on.wait(5)

    harness = make(faults={"hello": hang})
    with beating(harness):
        wait_for(lambda: latest_beat(harness))
        harness.engine.submit(TEXT, {})
        assert hung.wait(5)
        wait_for(lambda: harness.engine.silent_s > 0.2)
        before = latest_beat(harness)
        wait_for(lambda: harness.engine.silent_s > 0.5)
        assert latest_beat(harness) == before
        go_on.set()
        wait_for(lambda: latest_beat(harness) > before)
    assert ends == []


async def test_nobody_new_is_sent_to_threads_that_are_all_held(
    make: Make, ends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By questions that do not reach the engine; when they do, it beats again."""
    monkeypatch.setattr(heartbeat, "SILENT_S", 0.2)
    harness, go_on = make(), threading.Event()

    def tokenize(text: str, *, special: bool) -> list[int]:
        assert go_on.wait(10)
        return really_tokenize(text, special=special)

    really_tokenize = harness.runtime.tokenize
    monkeypatch.setattr(harness.runtime, "tokenize", tokenize)
    await harness.ask()
    with beating(harness, n_slots=2), harness.answering(seconds=10):
        wait_for(lambda: harness.claiming.n_running == 1)
        before = latest_beat(harness)
        wait_for(lambda: latest_beat(harness) > before + 0.5)  # one thread is free
        await harness.ask(text="another")
        with harness.answering(seconds=10):
            wait_for(lambda: harness.claiming.n_running == 2)
            wait_for(lambda: not is_beating(harness))
            go_on.set()
            wait_for(lambda: is_beating(harness))
    assert ends == []


def is_beating(harness: WorkerHarness) -> bool:
    before = latest_beat(harness)
    time.sleep(0.3)
    return latest_beat(harness) > before


async def test_it_ends_when_threads_stay_held(
    make: Make, ends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    harness, go_on = make(), threading.Event()
    monkeypatch.setattr(
        harness.runtime, "tokenize", lambda *_, **__: go_on.wait(5) or []
    )
    await harness.ask()
    with beating(harness, hang_s=0.3), harness.answering():
        wait_for(lambda: ends)
        go_on.set()
    assert ends == ["all threads hold questions, and none has reached the engine"]


async def test_it_ends_when_messages_lie_unseen_beside_a_free_slot(
    make: Make, ends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "STALL_S", 0.2)
    harness = make()
    with beating(harness):
        harness.sync.lpush(queue_of(POOL), "a message")
        wait_for(lambda: ends)
    assert ends == ["jobs wait, a slot is free, and the queue tells nothing"]


@pytest.mark.parametrize("why", ["full", "heard", "taken"])
async def test_messages_that_are_not_unseen_are_no_reason(
    make: Make, ends: list[str], monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    monkeypatch.setattr(heartbeat, "STALL_S", 0.4)
    harness = make()
    if why == "full":
        await harness.ask()
        assert harness.claiming.claim()
    with beating(harness):
        wait_for(lambda: latest_beat(harness))
        for _ in range(7):
            harness.sync.lpush(queue_of(POOL), "a message")
            since = latest_beat(harness)
            wait_for(lambda since=since: latest_beat(harness) > since + 0.08)
            if why == "heard":
                harness.claiming.claim()
            elif why == "taken":
                harness.sync.delete(queue_of(POOL))
                wait_for(lambda since=since: latest_beat(harness) > since + 0.12)
    assert ends == []


async def test_it_beats_again_when_the_broker_is_back(
    make: Make, ends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And messages that lay there meanwhile have only just been seen."""
    monkeypatch.setattr(heartbeat, "STALL_S", 0.4)
    harness, n_failed, really_beat = make(), 0, Heart.beat

    def beat(heart: Heart) -> None:
        nonlocal n_failed
        if n_failed < 20:
            n_failed += 1
            raise redis.ConnectionError("away")
        really_beat(heart)

    monkeypatch.setattr(Heart, "beat", beat)
    harness.sync.lpush(queue_of(POOL), "a message")
    with beating(harness):
        wait_for(lambda: latest_beat(harness))
        assert n_failed == 20
        assert ends == []
        harness.sync.delete(queue_of(POOL))


def test_the_end_is_the_end_of_the_process(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(heartbeat.os, "_exit", codes.append)
    with caplog.at_level(logging.CRITICAL):
        heartbeat._end("the engine is dead")
    assert codes == [heartbeat.EXIT_CODE]
    assert "the engine is dead: this worker ends" in caplog.text
