"""The encoder thread: it encodes one picture, remembers it, and can end early."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import numpy as np
import pytest

from edge.engine.encode_queue import EncodeJob, PictureKey
from edge.engine.encoder import Encoder, Outcome
from edge.errors import Cancelled
from edge.images import Picture
from edge.stubs.vision import StubTower
from tests.engine.asking import Pause

Results = queue.SimpleQueue[tuple[EncodeJob, Outcome]]
Seconds = queue.SimpleQueue[float]


def job(level: int, scope: str = "") -> EncodeJob:
    picture = Picture(32, 32, bytes([level]) * (32 * 32 * 3))
    return EncodeJob(PictureKey(scope, picture.ref.sha256), picture, 1)


@contextmanager
def encoder(
    tower: StubTower, cache_bytes: int = 1 << 20
) -> Iterator[tuple[Encoder, Results]]:
    """It never waits in a pause."""
    results: Results = queue.SimpleQueue()

    def done(given: EncodeJob, outcome: Outcome) -> None:
        results.put((given, outcome))

    with closing(Encoder(tower, cache_bytes, done, lambda _: one.proceed())) as one:
        yield one, results


def test_a_job_is_computed_on_the_encoder_thread_and_remembered() -> None:
    names = []

    class Tower(StubTower):
        def embed(self, picture: Picture, *pause: Pause) -> np.ndarray:
            names.append(threading.current_thread().name)
            return super().embed(picture, *pause)

    with encoder(Tower()) as (one, results):
        given = job(1)
        assert one.recall(given.key) is None
        one.start(given)
        done, embeddings = results.get(timeout=60)
        assert done is given
        assert one.recall(given.key) is embeddings
        assert one.recall(job(1, scope="another").key) is None
    assert names == ["encoder"]


def test_an_error_is_the_outcome_and_the_thread_lives_on() -> None:
    class Tower(StubTower):
        def embed(self, picture: Picture, *pause: Pause) -> np.ndarray:
            if picture.rgb[0] == 1:
                raise ValueError("broken")
            return super().embed(picture, *pause)

    with encoder(Tower()) as (one, results):
        one.start(job(1))
        assert isinstance(results.get(timeout=60)[1], ValueError)
        assert one.recall(job(1).key) is None
        one.start(job(2))
        assert isinstance(results.get(timeout=60)[1], np.ndarray)


@contextmanager
def paused(
    n_stages: int = 3, kind: type[StubTower] = StubTower
) -> Iterator[tuple[Encoder, Results, Seconds]]:
    """An encoder that waits in each pause, and the seconds of its stages."""
    results: Results = queue.SimpleQueue()
    stages: Seconds = queue.SimpleQueue()

    def done(given: EncodeJob, outcome: Outcome) -> None:
        results.put((given, outcome))

    tower = kind(seconds=0.02 * n_stages, n_stages=n_stages)
    with closing(Encoder(tower, 0, done, stages.put)) as one:
        yield one, results, stages


def test_each_stage_waits_until_it_may_proceed() -> None:
    with paused(n_stages=3) as (one, results, stages):
        for _ in range(2):
            began = time.monotonic()
            one.start(job(1))
            for _ in range(2):
                assert 0.02 <= stages.get(timeout=60) <= time.monotonic() - began
                with pytest.raises(queue.Empty):
                    stages.get(timeout=0.05)
                assert results.empty()
                began = time.monotonic()  # a pause does not count
                one.proceed()
            assert isinstance(results.get(timeout=60)[1], np.ndarray)


@pytest.mark.parametrize("when", ["in a stage", "in a pause", "too late"])
def test_an_interrupt_ends_the_present_job_and_not_the_next(when: str) -> None:
    with paused(n_stages=2) as (one, results, stages):
        one.start(job(1))
        if when != "in a stage":
            stages.get(timeout=60)
        if when == "too late":
            one.proceed()
            assert isinstance(results.get(timeout=60)[1], np.ndarray)
            one.interrupt()  # nothing is being encoded
        else:
            one.interrupt()
            assert isinstance(results.get(timeout=60)[1], Cancelled)
        one.start(job(2))
        stages.get(timeout=60)
        assert results.empty()
        one.proceed()
        assert isinstance(results.get(timeout=60)[1], np.ndarray)


def test_a_job_that_is_abandoned_before_it_begins_is_not_computed() -> None:
    encoded, is_free = [], threading.Event()
    results: Results = queue.SimpleQueue()

    class Tower(StubTower):
        def embed(self, picture: Picture, *pause: Pause) -> np.ndarray:
            encoded.append(picture.rgb[0])
            return super().embed(picture, *pause)

    def done(given: EncodeJob, outcome: Outcome) -> None:
        results.put((given, outcome))
        is_free.wait(60)  # the thread has not come to the next job yet

    with closing(Encoder(Tower(), 0, done, lambda _: one.proceed())) as one:
        one.start(job(1))
        results.get(timeout=60)
        one.start(job(2))
        one.interrupt()
        is_free.set()
        assert isinstance(results.get(timeout=60)[1], Cancelled)
    assert encoded == [1]


def test_the_cache_is_bounded_and_evicts_what_was_used_least_recently() -> None:
    tower = StubTower()
    room = 2 * tower.width * 2  # for two pictures of one token
    with encoder(tower, cache_bytes=room) as (one, results):
        for level in (1, 2):
            one.start(job(level))
            results.get(timeout=60)
        assert one.recall(job(1).key) is not None
        one.start(job(3))
        results.get(timeout=60)
        cached = [one.recall(job(level).key) is not None for level in (1, 2, 3)]
    assert cached == [True, False, True]


@pytest.mark.parametrize("has_paused", [False, True])
def test_closing_ends_the_present_job_at_its_next_pause(has_paused: bool) -> None:
    with paused() as (one, results, stages):
        one.start(job(1))
        if has_paused:
            stages.get(timeout=60)
    assert isinstance(results.get_nowait()[1], Cancelled)


def test_closing_waits_for_a_tower_that_cannot_pause() -> None:
    begun = threading.Event()

    class Tower(StubTower):
        def embed(self, picture: Picture, *pause: Pause) -> np.ndarray:
            begun.set()
            return super().embed(picture, *pause)

    with paused(n_stages=1, kind=Tower) as (one, results, stages):
        one.start(job(1))
        assert begun.wait(60)
    assert isinstance(results.get_nowait()[1], np.ndarray)
    assert stages.empty()


def test_the_tower_rests_once_when_no_picture_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge.engine.encoder.REST_S", 0.01)
    rests: queue.SimpleQueue[str] = queue.SimpleQueue()

    class Tower(StubTower):
        def rest(self) -> None:
            rests.put(threading.current_thread().name)

    with encoder(Tower()) as (one, results):
        for level in (1, 2):
            assert rests.get(timeout=60) == "encoder"
            one.start(job(level))
            results.get(timeout=60)
        assert rests.get(timeout=60) == "encoder"
        time.sleep(0.1)
        assert rests.empty()
