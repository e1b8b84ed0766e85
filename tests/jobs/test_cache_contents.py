"""What the cache server holds: counted within a time, or estimated."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
import redis.asyncio

from edge.jobs import cache_contents, cache_keys
from edge.jobs.cache_contents import KEYS_PER_SCAN, measure
from edge.redis_clients import async_client

pytestmark = pytest.mark.redis


@pytest.fixture
async def cache(broker_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    client = async_client(broker_url)
    yield client
    await client.aclose()


async def fill(cache: redis.asyncio.Redis, n: int) -> None:
    async with cache.pipeline(transaction=False) as pipe:
        for i in range(n):
            pipe.set(cache_keys.ANSWER(f"{i:064}"), "x" * 1000)
        await pipe.execute()


async def test_an_empty_server_holds_nothing(cache: redis.asyncio.Redis) -> None:
    for contents in (await measure(cache, 5)).values():
        assert (contents.n_entries, contents.n_bytes) == (0, 0)


async def test_all_are_counted_in_time(cache: redis.asyncio.Redis) -> None:
    await fill(cache, 3 * KEYS_PER_SCAN)
    await cache.set("somebody:elses", "x" * 10_000)
    answers = (await measure(cache, 30))["answers"]
    assert answers.n_entries == 3 * KEYS_PER_SCAN
    assert 1.0 < answers.n_bytes / (1000 * answers.n_entries) < 1.5


async def test_without_time_the_rest_is_estimated(
    cache: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(cache, 10 * KEYS_PER_SCAN)
    times = iter([0.0, 0.0, 1.0])  # one SCAN, and no more
    clock = SimpleNamespace(monotonic=lambda: next(times))
    monkeypatch.setattr(cache_contents, "time", clock)
    answers = (await measure(cache, 0.5))["answers"]
    assert answers.n_entries == pytest.approx(10 * KEYS_PER_SCAN, rel=0.01)
