"""The store of embeddings: shared by workers, and never in the way of an answer."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import numpy as np
import pytest
import redis

from edge.jobs import embeddings
from edge.jobs.embeddings import Embeddings, Entry
from edge.redis_clients import sync_client
from tests.conftest import running_redis, wait_for
from worker import embedding_store
from worker.embedding_store import EmbeddingStore, Result

GRID, WIDTH = (4, 5), 64
ROWS = np.random.default_rng(1).normal(size=(20, WIDTH)).astype(np.float16)
ENTRY = Entry("fp", "tenant", "picture", *GRID, WIDTH)
SOON_S = 30  # on two busy cores; clients of the server are far more patient

pytestmark = pytest.mark.redis
Open = Callable[..., EmbeddingStore]


@pytest.fixture
def open_store(broker_url: str) -> Iterator[Open]:
    opened: list[EmbeddingStore] = []

    def one(fingerprint: str = "fp", url: str = broker_url) -> EmbeddingStore:
        opened.append(EmbeddingStore(url, fingerprint, 2))
        return opened[-1]

    yield one
    for each in opened:
        each.close()


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lookups for which the server is never too slow."""
    for limit in ("LOOK_S", "FETCH_S"):
        monkeypatch.setattr(embedding_store, limit, 60)


@pytest.fixture
def cache(broker_url: str) -> Iterator[redis.Redis]:
    with closing(sync_client(broker_url)) as client:
        yield client


def get(store: EmbeddingStore, scope: str = "tenant") -> Embeddings | None:
    return store.get(scope, "picture", GRID, WIDTH)


def put(store: EmbeddingStore, cache: redis.Redis) -> None:
    store.put("tenant", "picture", GRID, ROWS)
    wait_for(lambda: embeddings.look(cache, ENTRY))


def only(store: EmbeddingStore, result: Result, n: int = 1) -> bool:
    others = {k: v for k, v in store.results.items() if v and k != result}
    return store.results[result] == n and not others


@pytest.mark.usefixtures("unhurried")
def test_another_worker_gets_what_one_has_stored(open_store, cache) -> None:
    put(open_store(), cache)
    other = open_store()
    found = get(other)
    assert found is not None and np.array_equal(found, ROWS)
    assert only(other, "hit")


@pytest.mark.usefixtures("unhurried")
def test_another_scope_and_another_model_get_nothing(open_store, cache) -> None:
    store, other = open_store(), open_store("another model")
    put(store, cache)
    assert get(store, scope="another tenant") is None
    assert get(other) is None
    assert only(store, "miss") and only(other, "miss")


@pytest.mark.usefixtures("unhurried")
def test_a_damaged_entry_is_a_miss_and_is_deleted(open_store, cache) -> None:
    store = open_store()
    put(store, cache)
    cache.hset(ENTRY.key, "0", b"damaged")
    assert get(store) is None
    assert only(store, "damaged")
    wait_for(lambda: not cache.exists(ENTRY.key))
    assert get(store) is None and store.results["miss"] == 1


@contextmanager
def deaf() -> Iterator[str]:
    """A server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def seconds_of(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "deaf"])
def test_an_absent_server_costs_a_moment_once(open_store, monkeypatch, url) -> None:
    monkeypatch.setattr(embedding_store, "PAUSE_S", 600)
    asked, fetch = [], EmbeddingStore._fetch
    monkeypatch.setattr(
        EmbeddingStore, "_fetch", lambda *a: asked.append(a) or fetch(*a)
    )
    with deaf() as silent:
        store = open_store(url=silent if url == "deaf" else url)
        assert seconds_of(lambda: get(store)) < SOON_S
        for _ in range(100):
            get(store)
        assert only(store, "away", 101)
        assert len(asked) == 1


def test_it_is_asked_again_after_a_pause(open_store, monkeypatch) -> None:
    monkeypatch.setattr(embedding_store, "PAUSE_S", 0.1)
    with running_redis() as url:
        store = open_store(url=url)
        with closing(sync_client(url)) as other:
            put(store, other)
            pid = int(other.info("server")["process_id"])
            os.kill(pid, signal.SIGSTOP)
            try:
                assert seconds_of(lambda: get(store)) < SOON_S
            finally:
                os.kill(pid, signal.SIGCONT)
            wait_for(lambda: get(store) is not None)
    assert store.results["away"] >= 1


def test_a_slow_transfer_is_given_up(open_store, cache, monkeypatch) -> None:
    monkeypatch.setattr(embedding_store, "LOOK_S", 60)
    monkeypatch.setattr(embedding_store, "FETCH_S", 0.05)
    store, over = open_store(), threading.Event()
    put(store, cache)
    fetch = embeddings.fetch

    def slow(*given: object) -> Embeddings | None:
        over.wait(60)
        return fetch(*given)

    monkeypatch.setattr(embeddings, "fetch", slow)
    assert get(store) is None
    over.set()
    assert only(store, "away")


def test_what_is_stored_never_waits_for_the_server(open_store) -> None:
    with deaf() as url:
        store = open_store(url=url)

        def put_many() -> None:
            for _ in range(50):
                store.put("tenant", "picture", GRID, ROWS)

        assert seconds_of(put_many) < SOON_S


def test_a_full_server_stores_nothing_and_harms_nobody(open_store, monkeypatch) -> None:
    monkeypatch.setattr(embedding_store, "PAUSE_S", 600)
    with running_redis() as url, closing(sync_client(url)) as cache:
        cache.config_set("maxmemory", "1mb")
        cache.config_set("maxmemory-policy", "noeviction")
        store = open_store(url=url)
        store.put("tenant", "picture", GRID, ROWS)
        wait_for(lambda: time.monotonic() < store._away_until)
        assert get(store) is None


def test_what_waits_to_be_stored_is_counted_in_bytes(open_store, monkeypatch) -> None:
    """One picture of 2,048 tokens takes 33 MB, and may always be stored."""
    kept: list[int] = []
    go_on = threading.Event()

    def put(_: object, __: object, rows: np.ndarray) -> None:
        kept.append(rows.nbytes)
        go_on.wait(60)

    monkeypatch.setattr(embeddings, "put", put)
    store = open_store()
    large = np.zeros((2048, 8192), np.float16)
    for _ in range(3):
        store.put("tenant", "picture", GRID, large)
    go_on.set()
    wait_for(lambda: not store._n_waiting)
    for _ in range(5):
        store.put("tenant", "picture", GRID, ROWS)
    wait_for(lambda: len(kept) == 6)
    assert kept == [large.nbytes, *5 * [ROWS.nbytes]]
