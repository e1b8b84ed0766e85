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
from tests.jobs.desk import POOL
from tests.worker.bench import Bench
from worker import pulse
from worker.pulse import Pulse

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
    monkeypatch.setattr(pulse, "_end", end)
    monkeypatch.setattr(pulse, "BEAT_S", 0.02)
    return reasons


@contextmanager
def beating(bench: Bench, hang_s: float = 30, n_slots: int = 1) -> Iterator[Pulse]:
    heart = Heart(bench.sync, WORKER)
    one = Pulse(heart, bench.engine, bench.worker, bench.gate, n_slots, hang_s)
    try:
        yield one
    finally:
        one.close()
        one._thread.join(5)


Make = Callable[..., Bench]


@pytest.fixture
async def make(broker_url: str) -> AsyncIterator[Make]:
    """Benches over a stub of the test's choice."""
    made: list[Bench] = []

    def bench(**stub: object) -> Bench:
        made.append(Bench(broker_url, StubRuntime(**stub)))
        return made[-1]

    yield bench
    for one in made:
        await one.close()


async def n_workers(bench: Bench) -> int:
    return len(await Fleet(bench.asynchronous).workers())


def latest_beat(bench: Bench) -> float:
    return bench.sync.zscore(FLEET, WORKER.name) or 0.0


async def test_it_is_in_the_fleet_until_it_is_closed(
    make: Make, ends: list[str]
) -> None:
    bench = make()
    with beating(bench):
        wait_for(lambda: latest_beat(bench))
        first = latest_beat(bench)
        wait_for(lambda: latest_beat(bench) > first)
        assert await n_workers(bench) == 1
    assert await n_workers(bench) == 0
    assert ends == []


async def test_it_ends_with_a_dead_engine(make: Make, ends: list[str]) -> None:
    bench = make(faults={"hello": die})
    with beating(bench):
        wait_for(lambda: latest_beat(bench))
        assert ends == []
        bench.engine.submit(TEXT, {})
        wait_for(lambda: ends)
    assert ends == ["the engine is dead"]


async def test_it_ends_when_a_step_hangs(make: Make, ends: list[str]) -> None:
    bench = make(step_s=1.2)
    with beating(bench, hang_s=0.3):
        bench.engine.submit(TEXT, {})
        wait_for(lambda: ends, 1.1)
    assert ends == ["the engine has made no step for 0 s"]


async def test_a_slow_machine_is_not_taken_for_a_hung_one(
    make: Make, ends: list[str]
) -> None:
    """Ten times its longest step is what it may take, if that is more."""
    bench = make(answer="ab", step_s=0.3)
    ticket = bench.engine.submit(TEXT, {})
    wait_for(lambda: bench.engine.longest_turn_s > 0.2)
    with beating(bench, hang_s=0.05):
        wait_for(lambda: ticket.events.qsize() >= 4)  # started, two texts, finished
    assert ends == []


async def test_an_idle_engine_does_not_hang(make: Make, ends: list[str]) -> None:
    bench = make()
    with beating(bench, hang_s=0.1):
        first = latest_beat(bench)
        wait_for(lambda: latest_beat(bench) > first + 0.3)
    assert ends == []


async def test_it_does_not_beat_while_a_turn_is_overlong(
    make: Make, ends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody new is sent to a worker that may hang; it is back when it does not."""
    monkeypatch.setattr(pulse, "SILENT_S", 0.1)
    hung, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        hung.set()
        go_on.wait(5)

    bench = make(faults={"hello": hang})
    with beating(bench):
        wait_for(lambda: latest_beat(bench))
        bench.engine.submit(TEXT, {})
        assert hung.wait(5)
        wait_for(lambda: bench.engine.silent_s > 0.2)
        before = latest_beat(bench)
        wait_for(lambda: bench.engine.silent_s > 0.5)
        assert latest_beat(bench) == before
        go_on.set()
        wait_for(lambda: latest_beat(bench) > before)
    assert ends == []


async def test_nobody_new_is_sent_to_threads_that_are_all_held(
    make: Make, ends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By questions that do not reach the engine; when they do, it beats again."""
    monkeypatch.setattr(pulse, "SILENT_S", 0.2)
    bench, go_on = make(), threading.Event()

    def tokenize(text: str, *, special: bool) -> list[int]:
        assert go_on.wait(10)
        return really_tokenize(text, special=special)

    really_tokenize = bench.runtime.tokenize
    monkeypatch.setattr(bench.runtime, "tokenize", tokenize)
    await bench.ask()
    with beating(bench, n_slots=2), bench.answering(seconds=10):
        wait_for(lambda: bench.gate.n_running == 1)
        before = latest_beat(bench)
        wait_for(lambda: latest_beat(bench) > before + 0.5)  # one thread is free
        await bench.ask(text="another")
        with bench.answering(seconds=10):
            wait_for(lambda: bench.gate.n_running == 2)
            wait_for(lambda: not is_beating(bench))
            go_on.set()
            wait_for(lambda: is_beating(bench))
    assert ends == []


def is_beating(bench: Bench) -> bool:
    before = latest_beat(bench)
    time.sleep(0.3)
    return latest_beat(bench) > before


async def test_it_ends_when_threads_stay_held(
    make: Make, ends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, go_on = make(), threading.Event()
    monkeypatch.setattr(bench.runtime, "tokenize", lambda *_, **__: go_on.wait(5) or [])
    await bench.ask()
    with beating(bench, hang_s=0.3), bench.answering():
        wait_for(lambda: ends)
        go_on.set()
    assert ends == ["all threads hold questions, and none has reached the engine"]


async def test_it_ends_when_messages_lie_unseen_beside_a_free_slot(
    make: Make, ends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "STALL_S", 0.2)
    bench = make()
    with beating(bench):
        bench.sync.lpush(queue_of(POOL), "a message")
        wait_for(lambda: ends)
    assert ends == ["jobs wait, a slot is free, and the queue tells nothing"]


@pytest.mark.parametrize("why", ["full", "heard", "taken"])
async def test_messages_that_are_not_unseen_are_no_reason(
    make: Make, ends: list[str], monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    monkeypatch.setattr(pulse, "STALL_S", 0.4)
    bench = make()
    if why == "full":
        await bench.ask()
        assert bench.gate.enter()
    with beating(bench):
        wait_for(lambda: latest_beat(bench))
        for _ in range(7):
            bench.sync.lpush(queue_of(POOL), "a message")
            since = latest_beat(bench)
            wait_for(lambda since=since: latest_beat(bench) > since + 0.08)
            if why == "heard":
                bench.gate.enter()
            elif why == "taken":
                bench.sync.delete(queue_of(POOL))
                wait_for(lambda since=since: latest_beat(bench) > since + 0.12)
    assert ends == []


async def test_it_beats_again_when_the_broker_is_back(
    make: Make, ends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And messages that lay there meanwhile have only just been seen."""
    monkeypatch.setattr(pulse, "STALL_S", 0.4)
    bench, n_failed, really_beat = make(), 0, Heart.beat

    def beat(heart: Heart) -> None:
        nonlocal n_failed
        if n_failed < 20:
            n_failed += 1
            raise redis.ConnectionError("away")
        really_beat(heart)

    monkeypatch.setattr(Heart, "beat", beat)
    bench.sync.lpush(queue_of(POOL), "a message")
    with beating(bench):
        wait_for(lambda: latest_beat(bench))
        assert n_failed == 20
        assert ends == []
        bench.sync.delete(queue_of(POOL))


def test_the_end_is_the_end_of_the_process(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(pulse.os, "_exit", codes.append)
    with caplog.at_level(logging.CRITICAL):
        pulse._end("the engine is dead")
    assert codes == [pulse.EXIT_CODE]
    assert "the engine is dead: this worker ends" in caplog.text
