"""Embeddings in the cache server: what is read is what was stored, or a miss."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from edge.jobs import cache_keys, embeddings
from edge.jobs.embeddings import CHUNK_BYTES, Damaged, Embeddings, Entry
from edge.redis_clients import sync_client

ENTRY = Entry("model and tower", "tenant", "picture", rows=40, columns=30, width=800)
CHECKSUM = "0" * 64


@pytest.fixture
def cache(broker_url: str) -> Iterator[redis.Redis]:
    client = sync_client(broker_url)
    yield client
    client.close()


def rows(entry: Entry = ENTRY, seed: int = 0) -> Embeddings:
    return np.random.default_rng(seed).normal(size=entry.shape).astype(np.float16)


def get(cache: redis.Redis, entry: Entry = ENTRY) -> Embeddings | None:
    checksum = embeddings.look(cache, entry)
    return None if checksum is None else embeddings.fetch(cache, entry, checksum)


@pytest.mark.redis
def test_what_was_stored_comes_back_exactly(cache: redis.Redis) -> None:
    stored = rows()
    assert stored.nbytes > CHUNK_BYTES  # so that there are several chunks
    embeddings.put(cache, ENTRY, stored)
    found = get(cache)
    assert found is not None and found.dtype == np.float16
    assert np.array_equal(found, stored)
    assert 7000 < cache.ttl(ENTRY.key) <= embeddings.KEEP_S


@pytest.mark.redis
def test_the_newest_is_found(cache: redis.Redis) -> None:
    embeddings.put(cache, ENTRY, rows(seed=1))
    embeddings.put(cache, ENTRY, rows(seed=2))
    found = get(cache)
    assert found is not None and np.array_equal(found, rows(seed=2))


@pytest.mark.redis
@pytest.mark.parametrize(
    "other",
    [
        {"scope": "another tenant"},
        {"fingerprint": "another model"},
        {"picture": "another picture"},
        {"rows": 30, "columns": 40},
        {"width": 801},
    ],
)
def test_nothing_else_is_found(cache: redis.Redis, other: dict[str, Any]) -> None:
    embeddings.put(cache, ENTRY, rows())
    assert get(cache, replace(ENTRY, **other)) is None


def no_header(cache: redis.Redis) -> None:
    cache.hdel(ENTRY.key, "header")


def header(**fields: Any) -> Any:
    def damage(cache: redis.Redis) -> None:
        found = json.loads(cache.hget(ENTRY.key, "header"))
        cache.hset(ENTRY.key, "header", json.dumps(found | fields))

    return damage


def field(name: str, value: bytes) -> Any:
    return lambda cache: cache.hset(ENTRY.key, name, value)


def flip_one_bit(cache: redis.Redis) -> None:
    chunk = bytearray(cache.hget(ENTRY.key, "1"))
    chunk[1000] ^= 1
    cache.hset(ENTRY.key, "1", bytes(chunk))


def copy_of_another_tenant(cache: redis.Redis) -> None:
    """A program that can write to the server cannot pass one entry off as another."""
    other = replace(ENTRY, scope="another tenant")
    embeddings.put(cache, other, rows())
    cache.rename(other.key, ENTRY.key)


DAMAGE = {
    "a bit is wrong": flip_one_bit,
    "a chunk is gone": lambda cache: cache.hdel(ENTRY.key, "0"),
    "a chunk is short": field("1", b"short"),
    "a chunk is long": field("0", bytes(2 * CHUNK_BYTES)),
    "a header that is not JSON": field("header", b"{"),
    "a header of binary bytes": field("header", bytes(range(256))),
    "a header that is a list": field("header", b"[1]"),
    "a deeply nested header": field("header", b"[" * 4000),
    "a huge header": field("header", b" " * 100_000),
    "another type of numbers": header(dtype="<f4"),
    "another shape": header(shape=[1200, 801]),
    "a shape of no numbers": header(shape="1200x800"),
    "another schema": header(schema=0),
    "another model": header(fingerprint="another"),
    "another checksum": header(sha256=CHECKSUM),
    "a checksum of null": header(sha256=None),
    "one more field": header(pickle="cos\nsystem"),
    "a copy of another tenant's": copy_of_another_tenant,
    "a string": lambda cache: cache.set(ENTRY.key, b"x"),
}


@pytest.mark.redis
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_entry_is_not_used_and_can_be_replaced(
    cache: redis.Redis, damage: Any
) -> None:
    embeddings.put(cache, ENTRY, rows())
    damage(cache)
    with pytest.raises(Damaged):
        get(cache)
    embeddings.delete(cache, ENTRY)
    assert not cache.exists(ENTRY.key)
    embeddings.put(cache, ENTRY, rows())
    assert get(cache) is not None


@pytest.mark.redis
def test_an_unfinished_entry_is_a_miss(cache: redis.Redis) -> None:
    embeddings.put(cache, ENTRY, rows())
    no_header(cache)
    assert get(cache) is None


@pytest.mark.redis
def test_an_entry_that_is_evicted_between_two_reads_is_a_miss(
    cache: redis.Redis,
) -> None:
    embeddings.put(cache, ENTRY, rows())
    checksum = embeddings.look(cache, ENTRY)
    assert checksum
    cache.flushall()
    assert embeddings.fetch(cache, ENTRY, checksum) is None


@pytest.mark.redis
def test_embeddings_beyond_the_bound_are_not_stored(
    cache: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "MOST_BYTES", 1000)
    embeddings.put(cache, ENTRY, rows())
    assert not cache.exists(ENTRY.key)


@pytest.mark.redis
def test_the_key_is_in_the_table(cache: redis.Redis) -> None:
    embeddings.put(cache, ENTRY, rows())
    [key] = cache.keys()
    assert cache_keys.EMBEDDINGS.matches(key.decode())


SMALL = Entry("f", "s", "p", rows=2, columns=2, width=8)


@given(st.binary(max_size=5000))
def test_no_bytes_as_a_header_do_harm(data: bytes) -> None:
    with pytest.raises(Damaged):
        embeddings.read_header(data, SMALL)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*SMALL.header(CHECKSUM), "x"]), inner)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from([*SMALL.header(CHECKSUM), "x"]), JSON))
def test_no_json_as_a_header_passes_for_another(fields: dict[str, Any]) -> None:
    changed = SMALL.header(CHECKSUM) | fields
    if changed == SMALL.header(str(changed["sha256"])):
        return
    with pytest.raises(Damaged):
        embeddings.read_header(json.dumps(changed).encode(), SMALL)


@given(st.lists(st.none() | st.binary(max_size=100), max_size=4))
def test_no_bytes_as_rows_pass_for_others(chunks: list[bytes | None]) -> None:
    with pytest.raises(Damaged):
        embeddings.read_rows(chunks, SMALL, CHECKSUM)
