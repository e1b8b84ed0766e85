"""The encoder thread: it encodes one picture, remembers it, and can end early."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import numpy as np

from edge.engine.encode_queue import EncodeJob, PictureKey
from edge.engine.encoder import Encoder, Outcome
from edge.errors import Cancelled
from edge.images import Picture
from edge.stubs.vision import StubTower

Results = queue.SimpleQueue[tuple[EncodeJob, Outcome]]


def job(level: int, scope: str = "") -> EncodeJob:
    picture = Picture(32, 32, bytes([level]) * (32 * 32 * 3))
    return EncodeJob(PictureKey(scope, picture.ref.sha256), picture)


@contextmanager
def encoder(
    tower: StubTower, cache_bytes: int = 1 << 20
) -> Iterator[tuple[Encoder, Results]]:
    results: Results = queue.SimpleQueue()
    with closing(
        Encoder(tower, cache_bytes, lambda *result: results.put(result))
    ) as one:
        yield one, results


def test_a_job_is_computed_on_the_encoder_thread_and_remembered() -> None:
    names = []

    class Tower(StubTower):
        def embed(self, picture: Picture) -> np.ndarray:
            names.append(threading.current_thread().name)
            return super().embed(picture)

    with encoder(Tower()) as (one, results):
        given = job(1)
        assert one.recall(given.key) is None
        one.start(given)
        done, embeddings = results.get(timeout=5)
        assert done is given
        assert one.recall(given.key) is embeddings
        assert one.recall(job(1, scope="another").key) is None
    assert names == ["encoder"]


def test_an_error_is_the_outcome_and_the_thread_lives_on() -> None:
    class Tower(StubTower):
        def embed(self, picture: Picture) -> np.ndarray:
            if picture.rgb[0] == 1:
                raise ValueError("broken")
            return super().embed(picture)

    with encoder(Tower()) as (one, results):
        one.start(job(1))
        assert isinstance(results.get(timeout=5)[1], ValueError)
        assert one.recall(job(1).key) is None
        one.start(job(2))
        assert isinstance(results.get(timeout=5)[1], np.ndarray)


def test_an_interrupt_ends_the_present_job_and_not_the_next() -> None:
    has_begun = threading.Event()

    class Tower(StubTower):
        def embed(self, picture: Picture) -> np.ndarray:
            self._interrupted.clear()
            has_begun.set()
            if self._interrupted.wait(self.seconds):
                raise Cancelled("interrupted")
            return np.zeros((1, self.width), np.float16)

    tower = Tower(seconds=30)
    with encoder(tower) as (one, results):
        one.start(job(1))
        assert has_begun.wait(5)
        one.interrupt()
        assert isinstance(results.get(timeout=5)[1], Cancelled)
        one.interrupt()  # too late: nothing is being encoded
        tower.seconds = 0.01
        one.start(job(2))
        assert isinstance(results.get(timeout=5)[1], np.ndarray)


def test_a_job_that_is_abandoned_before_it_begins_is_not_computed() -> None:
    encoded, is_free = [], threading.Event()
    results: Results = queue.SimpleQueue()

    class Tower(StubTower):
        def embed(self, picture: Picture) -> np.ndarray:
            encoded.append(picture.rgb[0])
            return super().embed(picture)

    def done(given: EncodeJob, outcome: Outcome) -> None:
        results.put((given, outcome))
        is_free.wait(5)  # the thread has not come to the next job yet

    with closing(Encoder(Tower(), 0, done)) as one:
        one.start(job(1))
        results.get(timeout=5)
        one.start(job(2))
        one.interrupt()
        is_free.set()
        assert isinstance(results.get(timeout=5)[1], Cancelled)
    assert encoded == [1]


def test_the_cache_is_bounded_and_evicts_what_was_used_least_recently() -> None:
    tower = StubTower()
    room = 2 * tower.width * 2  # for two pictures of one token
    with encoder(tower, cache_bytes=room) as (one, results):
        for level in (1, 2):
            one.start(job(level))
            results.get(timeout=5)
        assert one.recall(job(1).key) is not None
        one.start(job(3))
        results.get(timeout=5)
        cached = [one.recall(job(level).key) is not None for level in (1, 2, 3)]
    assert cached == [True, False, True]


def test_closing_waits_for_the_present_job() -> None:
    results: Results = queue.SimpleQueue()
    one = Encoder(StubTower(seconds=0.1), 0, lambda *result: results.put(result))
    one.start(job(1))
    one.close()
    assert isinstance(results.get_nowait()[1], np.ndarray)
