"""The fleet: which workers are alive and what they serve, by their heartbeats."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property

import redis
import redis.asyncio

from edge.jobs import keys
from edge.jobs.scripts import Scripts

BEAT_S = 0.5
FLEET = keys.FLEET()
INFO = keys.FLEET_INFO()


@dataclass(frozen=True)
class WorkerInfo:
    """What a worker says of itself.

    Workers of equal `fingerprint` give equal answers: it names the model files by their
    sha256, and who reads the pictures. They form a pool, which has a queue. A question
    and its answer may have `n_cells` tokens; 0 from a worker that does not say.
    """

    name: str
    model: str
    fingerprint: str
    vision: str
    n_slots: int
    runtime: str = ""
    n_cells: int = 0

    @cached_property
    def pool(self) -> str:
        return hashlib.sha256(self.fingerprint.encode()).hexdigest()[:16]


class Heart:
    """A worker's side: says that it lives, or that it leaves."""

    def __init__(self, broker: redis.Redis, info: WorkerInfo) -> None:
        self._broker = broker
        self._scripts = Scripts(broker)
        self._info = info

    def beat(self) -> None:
        """Says "I am alive" for the next DEAD_AFTER_S seconds."""
        self._scripts(
            "beat", worker=self._info.name, info=json.dumps(asdict(self._info))
        )

    def leave(self) -> None:
        self._broker.zrem(FLEET, self._info.name)
        self._broker.hdel(INFO, self._info.name)


class Fleet:
    """Everybody else's side."""

    def __init__(self, broker: redis.asyncio.Redis) -> None:
        self._scripts = Scripts(broker)

    async def workers(self) -> list[WorkerInfo]:
        """All live workers, by name."""
        beats = await self._scripts("fleet")
        found = [WorkerInfo(**json.loads(text)) for text in beats if text]
        return sorted(found, key=lambda worker: worker.name)


def is_here(broker: redis.Redis, host: str, pid: int | None = None) -> bool:
    """Whether a worker on this host is alive; that of one process, if `pid` is given.

    One that has died is still told of for DEAD_AFTER_S.
    """
    names = (json.loads(text)["name"] for text in Scripts(broker)("fleet") if text)
    if pid is not None:
        return f"{host}-{pid}" in names
    return any(name.startswith(f"{host}-") for name in names)
