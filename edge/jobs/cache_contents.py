"""What the cache server holds, by kind: counted, and cleared while it is in use."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, Literal

import redis.asyncio

from edge.jobs import cache_keys
from edge.jobs.key_pattern import Key

KEYS_PER_SCAN: Final = 500  # each command holds the server up for a moment

Kind = Literal["answers", "pictures", "responses"]
KINDS: Final[dict[Kind, Key]] = {
    "answers": cache_keys.ANSWER,
    "pictures": cache_keys.EMBEDDINGS,
    "responses": cache_keys.RESPONSE,
}


@dataclass(frozen=True)
class Contents:
    """Entries of one kind, and the server's memory for them."""

    n_entries: int
    n_bytes: int


async def measure(cache: redis.asyncio.Redis, within_s: float) -> dict[Kind, Contents]:
    """The contents by kind. What cannot be counted `within_s` is estimated from the
    keys that were: SCAN gives them in an order that is as good as random.

    Raises one of UNREACHABLE.
    """
    give_up = time.monotonic() + within_s
    n_keys, n_seen = int(await cache.dbsize()), 0
    entries: Counter[Kind] = Counter()
    n_bytes: Counter[Kind] = Counter()
    cursor: Any = None
    while cursor != 0 and time.monotonic() < give_up:
        scanned: Any = await cache.scan(cursor or 0, count=KEYS_PER_SCAN)
        cursor, found = scanned
        n_seen += len(found)
        names = ((key, key.decode(errors="replace")) for key in found)
        known = [(key, kind) for key, name in names if (kind := _kind_of(name))]
        async with cache.pipeline(transaction=False) as pipe:
            for key, _ in known:
                pipe.memory_usage(key, samples=0)
            sizes = await pipe.execute()
        for (_, kind), size in zip(known, sizes, strict=True):
            if size is not None:  # else it has just gone
                entries[kind] += 1
                n_bytes[kind] += size
    factor = 1.0 if cursor == 0 else max(1.0, n_keys / max(n_seen, 1))
    return {
        kind: Contents(round(factor * entries[kind]), round(factor * n_bytes[kind]))
        for kind in KINDS
    }


async def clear(cache: redis.asyncio.Redis, kind: Kind) -> int:
    """Deletes the entries of one kind, and nothing else. Returns how many. Raises one
    of UNREACHABLE."""
    n_deleted, cursor = 0, None
    while cursor != 0:
        cursor, found = await cache.scan(
            cursor or 0, match=KINDS[kind]("*"), count=KEYS_PER_SCAN
        )
        if found:
            n_deleted += int(await cache.unlink(*found))
    return n_deleted


def _kind_of(name: str) -> Kind | None:
    return next((kind for kind, row in KINDS.items() if row.matches(name)), None)
