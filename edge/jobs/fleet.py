"""The fleet: the live workers and what they serve, by their heartbeats."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

import redis
import redis.asyncio

from edge.jobs import keys
from edge.jobs.scripts import Scripts

BEAT_S = 1.0
FLEET = keys.FLEET()
INFO = keys.FLEET_INFO()


@dataclass(frozen=True)
class WorkerInfo:
    """What a worker says of itself.

    Workers of equal `fingerprint` give equal answers: it names the model files by their
    sha256, and the vision encoder. They form a pool, which has a queue. A question and
    its answer have at most `n_cells` tokens together; a picture gets
    `min_image_tokens` to `max_image_tokens`. The last ones are those of
    `edge.models.facts`, and whether the model `thinks`. None and "" are unknown, from
    an older worker.
    """

    name: str
    model: str
    fingerprint: str
    vision: str
    n_slots: int
    runtime: str = ""
    n_cells: int | None = None
    min_image_tokens: int | None = None
    max_image_tokens: int | None = None
    size_bytes: int | None = None
    digest: str = ""
    modified_s: float | None = None
    n_parameters: int | None = None
    quantization: str = ""
    thinks: bool | None = None

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> WorkerInfo:
        """Without what only a newer worker says."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: values[name] for name in values.keys() & known})

    @cached_property
    def pool(self) -> str:
        return hashlib.sha256(self.fingerprint.encode()).hexdigest()[:16]


class Heart:
    """The worker's side: a name in the fleet while it beats."""

    def __init__(self, broker: redis.Redis, info: WorkerInfo) -> None:
        self._broker = broker
        self._scripts = Scripts(broker)
        self._info = info

    def beat(self) -> None:
        """Keeps the worker in the fleet for the next DEAD_AFTER_S."""
        self._scripts(
            "beat", worker=self._info.name, info=json.dumps(asdict(self._info))
        )

    def leave(self) -> None:
        self._broker.zrem(FLEET, self._info.name)
        self._broker.hdel(INFO, self._info.name)


class Fleet:
    """The side of those that use the workers."""

    def __init__(self, broker: redis.asyncio.Redis) -> None:
        self._scripts = Scripts(broker)

    async def workers(self) -> list[WorkerInfo]:
        """All live workers, by name."""
        infos = await self._scripts("fleet")
        found = [WorkerInfo.from_json(json.loads(info)) for info in infos if info]
        return sorted(found, key=lambda worker: worker.name)


def is_here(broker: redis.Redis, host: str, pid: int | None = None) -> bool:
    """Whether a worker on this host is alive, or the worker of one process, `pid`.

    A dead worker counts as alive for another DEAD_AFTER_S.
    """
    names = (json.loads(text)["name"] for text in Scripts(broker)("fleet") if text)
    if pid is not None:
        return f"{host}-{pid}" in names
    return any(name.startswith(f"{host}-") for name in names)
