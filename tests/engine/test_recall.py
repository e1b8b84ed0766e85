"""Pictures that need no encoder, and what a request says about caches."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import numpy as np
import numpy.typing as npt
import pytest

from edge.cache_use import CacheUse
from edge.engine.engine import Engine
from edge.events import Embedded, Finished
from edge.images import Picture
from edge.request import Answer, Message, Request, SamplingParams
from edge.stubs.runtime import StubRuntime
from edge.stubs.vision import StubTower
from tests.engine.asking import Pause, events

Found = npt.NDArray[np.float16]
Key = tuple[str, str, tuple[int, int]]
USES = (CacheUse.NO_STORE, CacheUse.DEFAULT, CacheUse.NO_STORE)
CACHE_BYTES = 1 << 20
N_TOKENS = 2 * 3
PICTURE = Picture(96, 64, bytes([1]) * (96 * 64 * 3))


class Store:
    """A store in memory, which says on which threads it was used."""

    def __init__(self) -> None:
        self.held: dict[Key, Found] = {}
        self.threads: set[str] = set()
        self.n_asked = 0

    def get(
        self, scope: str, sha256: str, grid: tuple[int, int], width: int
    ) -> Found | None:
        self.n_asked += 1
        self.threads.add(threading.current_thread().name)
        return self.held.get((scope, sha256, grid))

    def put(
        self, scope: str, sha256: str, grid: tuple[int, int], embeddings: Found
    ) -> None:
        assert embeddings.shape == (grid[0] * grid[1], StubTower().width)
        self.held[scope, sha256, grid] = embeddings


class Tower(StubTower):
    """Counts the pictures that it encodes."""

    def __init__(self) -> None:
        super().__init__()
        self.n_encoded = 0

    def embed(self, picture: Picture, pause: Pause = lambda: None) -> Found:
        self.n_encoded += 1
        return super().embed(picture, pause)


class Asked:
    """An engine with a store, and what its encoder has done."""

    def __init__(self, store: Store, cache_bytes: int = CACHE_BYTES) -> None:
        self.tower = Tower()
        runtime = StubRuntime(n_idle=4)
        self.engine = Engine(runtime, self.tower, cache_bytes=cache_bytes)
        self.engine.encoder.store = store

    def ask(
        self, text: str = "what?", cache: CacheUse = CacheUse.DEFAULT, scope: str = "s"
    ) -> Answer:
        message = Message("user", (PICTURE.ref, text))
        sampling = SamplingParams(max_tokens=4)
        request = Request((message,), sampling, scope=scope, cache=cache)
        pictures = {PICTURE.ref.sha256: PICTURE}
        seen = events(self.engine.submit(request, pictures))
        assert sum(isinstance(event, Embedded) for event in seen) == 1
        assert isinstance(seen[-1], Finished)
        return seen[-1].answer


@contextmanager
def engine(store: Store, cache_bytes: int = CACHE_BYTES) -> Iterator[Asked]:
    asked = Asked(store, cache_bytes)
    with closing(asked.engine):
        yield asked


def test_a_picture_is_encoded_once_for_two_engines() -> None:
    store = Store()
    with engine(store) as first:
        usage = first.ask().usage
        assert usage.image_tokens == N_TOKENS
        assert usage.memory_image_tokens == usage.stored_image_tokens == 0
    with engine(store) as second:
        assert second.ask().usage.stored_image_tokens == N_TOKENS
        assert second.tower.n_encoded == 0
    assert not store.threads & {"engine", "encoder"}


def test_what_was_fetched_is_in_memory_then() -> None:
    store = Store()
    with engine(store) as first:
        first.ask()
    with engine(store) as second:
        second.ask()
        asked_before = store.n_asked
        usage = second.ask("and now?").usage
        assert (usage.memory_image_tokens, usage.stored_image_tokens) == (N_TOKENS, 0)
        assert store.n_asked == asked_before


def test_the_store_serves_what_memory_has_no_room_for() -> None:
    with engine(Store(), cache_bytes=0) as one:
        one.ask()
        assert one.ask("again?").usage.stored_image_tokens == N_TOKENS
        assert one.tower.n_encoded == 1
        assert one.engine.encoder.cached_bytes == 0


def test_another_scope_encodes_it_again() -> None:
    with engine(Store()) as one:
        one.ask(scope="a")
        usage = one.ask(scope="b").usage
        assert usage.cached_tokens == usage.memory_image_tokens == 0
        assert usage.stored_image_tokens == 0
        assert one.tower.n_encoded == 2


def test_no_store_neither_uses_nor_keeps_anything() -> None:
    store = Store()
    with engine(store) as one:
        for _ in range(2):
            usage = one.ask(cache=CacheUse.NO_STORE).usage
            assert usage.cached_tokens == usage.memory_image_tokens == 0
        assert one.tower.n_encoded == 2
        assert not store.held and store.n_asked == 0
        assert one.engine.encoder.cached_bytes == 0
        assert one.engine.load.n_idle_cells == 0
        one.ask()
        usage = one.ask(cache=CacheUse.NO_STORE).usage
        assert usage.cached_tokens == usage.stored_image_tokens == 0
        assert one.tower.n_encoded == 4


def test_refresh_uses_nothing_and_replaces_what_is_kept() -> None:
    store = Store()
    with engine(store) as one:
        one.ask()
        [key] = store.held
        store.held[key] = before = np.zeros((N_TOKENS, 8), np.float16)
        usage = one.ask(cache=CacheUse.REFRESH).usage
        assert usage.cached_tokens == usage.memory_image_tokens == 0
        assert one.tower.n_encoded == 2
        assert not np.array_equal(store.held[key], before)
        assert one.ask("again?").usage.memory_image_tokens == N_TOKENS


def test_a_prefix_being_computed_with_no_store_is_shared_with_nobody() -> None:
    runtime = StubRuntime(n_idle=4, step_s=0.01)
    with closing(Engine(runtime, StubTower(), chunk_tokens=16)) as one:
        text = "the same long beginning of a prompt " * 4
        tickets = [
            one.submit(Request((Message("user", (text + end,)),), cache=cache), {})
            for end, cache in zip("abc", USES, strict=True)
        ]
        answers = [events(ticket)[-1] for ticket in tickets]
    for answer in answers:
        assert isinstance(answer, Finished)
        assert answer.answer.usage.cached_tokens == 0


@pytest.mark.parametrize("cache", CacheUse)
def test_a_request_keeps_its_word_on_the_wire(cache: CacheUse) -> None:
    request = Request((), cache=cache)
    assert Request.from_json(request.to_json()) == request


def test_threads_that_ask_at_once_get_one_picture() -> None:
    """Both find nothing in the store; the encoder still works once."""
    results: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    with engine(Store()) as one:
        threads = [
            threading.Thread(target=lambda: results.put(one.ask())) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert results.get(timeout=60).text == results.get(timeout=60).text
        assert one.tower.n_encoded == 1
