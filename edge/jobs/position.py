"""Where a job stands in the queue of its pool, and when it will start."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from edge.events import Queued
from edge.jobs import keys
from edge.jobs.estimate import Pace, Running, Size, start_times
from edge.jobs.fleet import Fleet, WorkerInfo
from edge.jobs.scripts import Scripts


@dataclass(frozen=True)
class Outlook:
    """A pool as a whole: its jobs, when a question asked now would start (None without
    a slot), and its pace."""

    n_running: int
    n_waiting: int
    starts_in_s: float | None
    pace: Pace


class Positions:
    """Queue positions, with start times from the pace of each pool."""

    def __init__(self, broker: redis.asyncio.Redis, scripts: Scripts) -> None:
        self._broker = broker
        self._scripts = scripts
        self._fleet = Fleet(broker)

    async def find(self, job_id: str, pool: str) -> Queued | None:
        """The job's position; None when it is not in the queue."""
        queue, pace, workers = await self._read(pool)
        if job_id not in queue.waiting_ids:
            return None
        starts_s = _start_times(queue, queue.waiting_sizes, workers, pace)
        rank = queue.waiting_ids.index(job_id)
        starts_in_s = round(starts_s[rank], 1) if starts_s else None
        waits = any(worker.waits_for_room for worker in workers)
        return Queued(rank + 1, starts_in_s, _loading_s(workers), waits)

    async def outlook(self, pool: str) -> Outlook:
        queue, pace, workers = await self._read(pool)
        sizes = [*queue.waiting_sizes, None]  # the last one is asked now
        starts_s = _start_times(queue, sizes, workers, pace)
        return Outlook(
            n_running=len(queue.running),
            n_waiting=len(queue.waiting_ids),
            starts_in_s=round(starts_s[-1], 1) if starts_s else None,
            pace=pace,
        )

    async def pace(self, pool: str) -> Pace:
        return Pace.read(await self._broker.get(keys.PACE(pool)))

    async def _read(self, pool: str) -> tuple[_Queue, Pace, list[WorkerInfo]]:
        """The queue of a pool, its pace and its workers."""
        reply, pace, workers = await asyncio.gather(
            self._scripts("queue", pool=pool), self.pace(pool), self._fleet.workers()
        )
        own = [worker for worker in workers if worker.pool == pool]
        return _Queue.read(reply), pace, own


def _loading_s(workers: Sequence[WorkerInfo]) -> float | None:
    """How long until the model is in memory; None when it is."""
    return min((w.loading_s for w in workers if w.loading_s is not None), default=None)


def _start_times(
    queue: _Queue,
    waiting: Sequence[Size | None],
    workers: Sequence[WorkerInfo],
    pace: Pace,
) -> list[float]:
    n_slots = sum(worker.n_slots for worker in workers)
    loading_s = _loading_s(workers) or 0.0
    starts_s = start_times(queue.running, waiting, n_slots, pace)
    return [loading_s + start_s for start_s in starts_s]


@dataclass(frozen=True)
class _Queue:
    """A pool's running jobs and, in order, its waiting ones."""

    running: list[Running]
    waiting_ids: list[str]
    waiting_sizes: list[Size | None]

    @classmethod
    def read(cls, reply: Sequence[Any]) -> _Queue:
        """Reads the lists that `queue.lua` replies."""
        lists: dict[bytes, list[bytes]] = dict(
            zip(reply[::2], reply[1::2], strict=True)
        )
        tokens = zip(
            lists[b"prompt_tokens"],
            lists[b"encode_tokens"],
            lists[b"max_tokens"],
            strict=True,
        )
        sizes = [
            Size(int(prompt), float(encode), int(most))
            if prompt and encode and most
            else None
            for prompt, encode, most in tokens
        ]
        elapsed_s = [float(text) for text in lists[b"elapsed_s"] if text]
        n_running = len(elapsed_s)
        return cls(
            running=list(map(Running, sizes, elapsed_s)),
            waiting_ids=[job_id.decode() for job_id in lists[b"job_id"][n_running:]],
            waiting_sizes=sizes[n_running:],
        )
