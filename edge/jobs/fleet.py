"""The fleet: the live workers and what they serve, by their heartbeats."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import redis
import redis.asyncio

from edge.jobs import keys
from edge.jobs.scripts import Scripts
from edge.model_names import DEFAULT_NAME

BEAT_S = 1.0
CHAT, RERANK, EMBEDDINGS, VIDEO = "chat", "rerank", "embeddings", "video"
CAPABILITIES = (CHAT, RERANK, EMBEDDINGS, VIDEO)
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
    trained_for: str = ""
    n_dimensions: int | None = None
    thinks: bool | None = None
    capabilities: tuple[str, ...] | None = None  # of CAPABILITIES; None: to chat
    # Of a model that is not in memory, how long until it is. Said by the `edge up` that
    # will load it.
    loading_s: float | None = None
    waits_for_room: bool = False  # until other models have left memory
    cannot_load: bool = False  # it was tried, and is again for the next question
    # Not said by the worker: the names under which clients ask it.
    names: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> WorkerInfo:
        """Without what only a newer worker says."""
        known = {field.name for field in fields(cls)}
        said = {name: values[name] for name in values.keys() & known}
        if said.get("capabilities") is not None:
            said["capabilities"] = tuple(said["capabilities"])
        return cls(**said)

    def can(self, capability: str) -> bool:
        return capability in (self.capabilities or (CHAT,))

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
        said = asdict(self._info)
        del said["names"]
        self._scripts(
            "beat",
            worker=self._info.name,
            info=json.dumps(said),
            model=self._info.model,
        )

    def leave(self) -> None:
        """In good order: workers of its pool that have died are not expected back."""
        _, lost = known(self._broker)
        pool = [one.name for one in lost if one.pool == self._info.pool]
        self._broker.zrem(FLEET, self._info.name, *pool)
        self._broker.hdel(INFO, self._info.name, *pool)


class Fleet:
    """The side of those that use the workers; `aliases` are further names of models."""

    def __init__(
        self, broker: redis.asyncio.Redis, aliases: Mapping[str, str] | None = None
    ) -> None:
        self._scripts = Scripts(broker)
        self._aliases = aliases or {}

    async def workers(self) -> list[WorkerInfo]:
        """All live workers: first those of the default model, the others by name.

        While no worker serves the default model, the first other one takes its place.
        """
        default, live, _ = await self._scripts("fleet")
        found = sorted(_read(live), key=lambda w: (w.model != default.decode(), w.name))
        loaded = {worker.pool for worker in found if worker.loading_s is None}
        found = [w for w in found if w.loading_s is None or w.pool not in loaded]
        first = found[0].model if found else ""
        return [
            self._named(worker, is_default=worker.model == first) for worker in found
        ]

    async def lost(self) -> list[WorkerInfo]:
        """Those that fell silent in the last KEEP_S and did not leave."""
        _, _, lost = await self._scripts("fleet")
        return [self._named(worker, is_default=False) for worker in _read(lost)]

    def _named(self, worker: WorkerInfo, *, is_default: bool) -> WorkerInfo:
        own = (worker.model, DEFAULT_NAME) if is_default else (worker.model,)
        aliases = (alias for alias, name in self._aliases.items() if name in own)
        return replace(worker, names=(*own, *aliases))


def known(broker: redis.Redis) -> tuple[list[WorkerInfo], list[WorkerInfo]]:
    """The live workers, and the lost ones (see `Fleet`); without further names."""
    _, live, lost = Scripts(broker)("fleet")
    return _read(live), _read(lost)


def find(
    broker: redis.Redis, host: str, pid: int | None = None, model: str | None = None
) -> WorkerInfo | None:
    """A live worker on this host; only that of the process `pid`, or one that serves
    `model`. A dead worker counts as alive for another DEAD_AFTER_S."""
    live, _ = known(broker)
    for worker in live:
        is_of_host = worker.name.rpartition("-")[0] == host
        is_of_process = pid is None or worker.name == f"{host}-{pid}"
        if is_of_host and is_of_process and model in (None, worker.model):
            return worker
    return None


def is_here(
    broker: redis.Redis, host: str, pid: int | None = None, model: str | None = None
) -> bool:
    """Whether `find` finds one."""
    return find(broker, host, pid, model) is not None


def _read(infos: Iterable[bytes | None]) -> list[WorkerInfo]:
    return [WorkerInfo.from_json(json.loads(text)) for text in infos if text]
