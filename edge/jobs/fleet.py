"""The fleet: which workers are alive and what they serve, by their heartbeats."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import redis
import redis.asyncio

BEAT_S = 1
DEAD_AFTER_S = 4
_PREFIX = "edge:worker:"


@dataclass(frozen=True)
class WorkerInfo:
    """What a worker says of itself.

    Workers of equal `fingerprint` give equal answers: it names the model files by their
    sha256, and who reads the pictures.
    """

    name: str
    model: str
    fingerprint: str
    vision: str
    n_slots: int


def beat(broker: redis.Redis, info: WorkerInfo) -> None:
    """Says "I am alive" for the next DEAD_AFTER_S seconds."""
    broker.set(_PREFIX + info.name, json.dumps(asdict(info)), ex=DEAD_AFTER_S)


def leave(broker: redis.Redis, info: WorkerInfo) -> None:
    broker.delete(_PREFIX + info.name)


async def workers(broker: redis.asyncio.Redis) -> list[WorkerInfo]:
    """All live workers."""
    keys = [key async for key in broker.scan_iter(match=_PREFIX + "*", count=1000)]
    beats = await broker.mget(keys) if keys else []
    return [WorkerInfo(**json.loads(text)) for text in beats if text]


def is_here(broker: redis.Redis, host: str) -> bool:
    """Whether a worker on this host is alive."""
    return any(True for _ in broker.scan_iter(match=f"{_PREFIX}{host}-*", count=1000))
