"""Models that leave memory and come back: who makes room for whom, and who is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest

from edge.errors import SetupError
from edge.jobs import keys
from edge.jobs.fleet import FLEET, Heart, WorkerInfo, known
from edge.jobs.switching import Switching
from edge.redis_clients import SyncRedis, sync_client
from edge.up import model_worker, sleep, stand_in
from edge.up.model_worker import ModelWorker, Steps
from edge.up.sleep import CANNOT_LOAD, MOMENT_S, TURN_S, Sleep
from edge.up.workers import _go_on
from tests.jobs.jobs_harness import WORKER, JobsHarness

pytestmark = pytest.mark.redis

ROOM_BYTES = 10  # for one of two models


class Model(ModelWorker):
    """Loads and leaves at once; `error` is why it does not load."""

    def __init__(self, info: WorkerInfo) -> None:
        need = SimpleNamespace(total_bytes=ROOM_BYTES)
        plan: Any = SimpleNamespace(
            files=SimpleNamespace(name=info.model), need=need, settings=None
        )
        part: Any = SimpleNamespace(name="worker", stop_s=0.0)
        stack: Any = SimpleNamespace(begin=self._begin, keep=print, drop=print)
        super().__init__(plan, part, stack, 0)
        self.info = info
        self.error: SetupError | None = None
        self.n_begun = 0

    def _begin(self, part: Any) -> Any:
        self.n_begun += 1
        return SimpleNamespace(
            process=SimpleNamespace(pid=0),
            check_start=self._check_start,
            ask=lambda: None,
            is_alive=False,
        )

    def _check_start(self) -> bool:
        if self.error:
            raise self.error
        return True

    @property
    def growth_bytes(self) -> int:
        return ROOM_BYTES if self.is_loaded else 0


class House:
    """Two models, and memory for one of them."""

    def __init__(self, broker: SyncRedis, first: WorkerInfo) -> None:
        second = WorkerInfo("host-2", "second", "s", "stub", n_slots=1)
        self.broker = broker
        self.first, self.second = Model(first), Model(second)
        self.said: list[str] = []
        self.now_s = 1000.0
        self.sleep = Sleep(
            broker,
            [self.first, self.second],
            600,
            lambda name, news: self.said.append(f"{name} {news}"),
        )
        self._steps: list[Steps[None]] = []

    def look(self, seconds: float = 0.0) -> None:
        """What `edge up` does again and again, `seconds` later."""
        self.now_s += seconds
        for _ in range(4):
            self._steps += self.sleep.look()
            self._steps = [steps for steps in self._steps if _go_on(steps)]

    def ask(self, model: Model, *, runs: bool = False) -> None:
        assert model.info
        job = {f"job-{model.name}": 0.0}
        self.broker.zadd(keys.LIVE(model.info.pool), job)
        if runs:
            self.broker.zadd(keys.RUNNING(model.info.pool), job)

    def end(self, model: Model, *, only_runs: bool = False) -> None:
        assert model.info
        self.broker.delete(keys.RUNNING(model.info.pool))
        if not only_runs:
            self.broker.delete(keys.LIVE(model.info.pool))

    @property
    def waits_for_room(self) -> dict[str, bool]:
        return {one.model: one.waits_for_room for one in self._asleep()}

    @property
    def cannot_load(self) -> set[str]:
        return {one.model for one in self._asleep() if one.cannot_load}

    def _asleep(self) -> list[WorkerInfo]:
        """The models for which something stands in."""
        for model in (self.first, self.second):
            if model.stand_in:
                model.stand_in._beat()
        live, _ = known(self.broker)
        return live


@pytest.fixture
def house(broker_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """The first model is loaded, the second one sleeps."""
    broker = sync_client(broker_url)
    one = House(broker, WORKER)
    monkeypatch.setattr(
        sleep.host, "available_memory_bytes", lambda: ROOM_BYTES, raising=True
    )
    clock = SimpleNamespace(monotonic=lambda: one.now_s)
    monkeypatch.setattr(sleep, "time", clock)
    monkeypatch.setattr(model_worker, "time", clock)
    monkeypatch.setattr(sleep, "expected_info", lambda plan: one.second.info)
    monkeypatch.setattr(
        model_worker.fleet,
        "find",
        lambda *_: next(m.info for m in (one.first, one.second) if m.is_loaded),
    )
    for _ in one.first.load(broker):
        pass
    one.sleep.lay_down(one.second)
    yield one
    for model in (one.first, one.second):
        model.close_stand_in()
    broker.close()


def test_a_model_with_nothing_to_do_makes_room_after_a_moment(house: House) -> None:
    """Until then a program that asks again and again may send its next question."""
    house.first.load_s = 20.0
    house.look(MOMENT_S)
    for _ in range(3):
        house.ask(house.first, runs=True)
        house.ask(house.second)
        house.look()
        house.end(house.first)
        house.look(MOMENT_S - 1)
        assert house.first.is_loaded
    house.look(2)
    assert house.second.is_loaded and not house.first.is_loaded


def test_a_model_that_loads_at_once_makes_room_at_once(house: House) -> None:
    house.ask(house.second)
    house.look()
    assert house.second.is_loaded and not house.first.is_loaded


def test_busy_models_take_turns(house: House) -> None:
    """Each one ends the answers that it computes; what waits for it waits on."""
    house.ask(house.first, runs=True)
    house.ask(house.second)
    house.look()
    house.look(TURN_S - 1)
    assert house.first.is_loaded and not house.second.is_loaded
    assert house.waits_for_room["second"]
    house.look(2)
    assert house.first.is_loaded  # it ends its answer
    house.end(house.first, only_runs=True)
    house.look()
    assert house.second.is_loaded and not house.first.is_loaded
    house.look(TURN_S - 1)
    assert house.second.is_loaded
    assert house.waits_for_room == {"tiny": True}
    house.look(2)
    assert house.first.is_loaded and not house.second.is_loaded


def test_a_model_is_not_loaded_when_nobody_asks_any_more(house: House) -> None:
    house.ask(house.first, runs=True)
    house.ask(house.second)
    house.look()
    assert house.second.is_busy
    house.end(house.second)
    house.look()
    assert not house.second.is_busy
    assert house.waits_for_room["second"] is False
    house.look(2 * TURN_S)
    assert house.first.is_loaded and not house.second.is_loaded


def test_a_model_that_another_machine_serves_too_goes_on_there(house: House) -> None:
    elsewhere = replace(WORKER, name="elsewhere-1")
    Heart(house.broker, elsewhere).beat()
    house.broker.zincrby(FLEET, 600, elsewhere.name)  # it is alive for the whole test
    house.ask(house.first, runs=True)  # there
    house.ask(house.second)
    steps = house.sleep._fall_asleep(house.first, "the other one needs the room")
    paused = [house.broker.exists(keys.PAUSED(WORKER.pool)) for _ in islice(steps, 9)]
    assert (sum(paused), house.first.is_loaded) == (0, False)


def test_a_model_that_begins_takes_what_waits(house: House) -> None:
    """An `edge up` was killed while the model left memory."""
    house.look(600)
    assert not house.first.is_loaded
    Switching(house.broker).pause(WORKER.pool)
    for _ in house.first.load(house.broker):
        pass
    assert not house.broker.exists(keys.PAUSED(WORKER.pool))


def test_a_model_that_fails_to_leave_goes_on(house: House) -> None:
    def fails() -> Steps[None]:
        raise OSError("No process can be asked.")
        yield

    house.first.unload = fails
    house.look(600)
    assert "tiny sleeps, nobody asked for 600 s" in house.said
    assert not house.broker.exists(keys.PAUSED(WORKER.pool))


def test_nothing_stands_in_any_more_for_a_model_that_was_loaded(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its last beat was under way."""
    beats, may_beat = threading.Event(), threading.Event()
    beat = Heart.beat

    def late(self: Heart) -> None:
        beats.set()
        may_beat.wait(60)
        beat(self)

    monkeypatch.setattr(stand_in, "BEAT_S", 0.01)
    monkeypatch.setattr(Heart, "beat", beat)
    one = stand_in.StandIn(house.broker, replace(WORKER, model="third"), 1.0)
    monkeypatch.setattr(Heart, "beat", late)
    assert beats.wait(60)
    closing = threading.Thread(target=one.close)
    closing.start()
    assert one._closed.wait(60)
    closing.join(0.2)  # which would be enough to leave
    may_beat.set()
    closing.join(60)
    one._thread.join(60)
    assert "third" not in house.waits_for_room


async def test_questions_for_a_model_that_does_not_load_end_with_the_reason(
    house: House, broker_url: str
) -> None:
    """After the second time; then it is tried again only for a new question."""
    harness = JobsHarness(broker_url)
    try:
        house.ask(house.second)
        house.look()
        assert not house.first.is_loaded
        house.end(house.second)
        house.first.error = SetupError("Its file is gone.")
        job_id = await harness.ask()
        for _ in range(2):
            house.look(600)
        assert house.said.count("tiny Its file is gone.") == 2
        assert house.cannot_load == {"tiny"}
        last = (await harness.events(job_id))[-1]
        assert (last.code, last.message) == ("service_unavailable", CANNOT_LOAD)
        n_begun = house.first.n_begun
        for _ in range(3):
            house.look(600)
        assert house.first.n_begun == n_begun
        house.first.error = None
        house.ask(house.first)
        house.look(600)
        assert house.first.is_loaded and not house.cannot_load
    finally:
        await harness.close()
