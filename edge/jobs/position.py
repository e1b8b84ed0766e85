"""Where a job stands in the queue of its pool, and when it will start."""

from __future__ import annotations

import asyncio

import redis.asyncio

from edge.events import Queued
from edge.jobs import keys
from edge.jobs.estimate import Pace, Running, Size, start_times
from edge.jobs.fleet import Fleet
from edge.jobs.scripts import Scripts, named


class Positions:
    """Queue positions, estimated from the pace of each pool."""

    def __init__(self, broker: redis.asyncio.Redis, scripts: Scripts) -> None:
        self._broker = broker
        self._scripts = scripts
        self._fleet = Fleet(broker)

    async def find(self, job_id: str, pool: str) -> Queued | None:
        """The job's position; None when it is not in the queue."""
        replies, pace, workers = await asyncio.gather(
            self._scripts("queue", pool=pool), self.pace(pool), self._fleet.workers()
        )
        n_slots = sum(worker.n_slots for worker in workers if worker.pool == pool)
        jobs = [named(reply) for reply in replies]
        running = [
            Running(_size(job), float(job["elapsed_s"]))
            for job in jobs
            if "elapsed_s" in job
        ]
        waiting = jobs[len(running) :]
        ids = [job["job_id"] for job in waiting]
        if job_id not in ids:
            return None
        starts_s = start_times(running, map(_size, waiting), n_slots, pace)
        rank = ids.index(job_id)
        return Queued(rank + 1, round(starts_s[rank], 1) if starts_s else None)

    async def pace(self, pool: str) -> Pace:
        return Pace.read(await self._broker.get(keys.PACE(pool)))


def _size(job: dict[str, str]) -> Size | None:
    """None until the preflight check has measured the prompt."""
    if not job.get("prompt_tokens") or not job.get("max_tokens"):
        return None
    return Size(
        prompt_tokens=int(job["prompt_tokens"]),
        image_tokens=int(job["image_tokens"]),
        max_tokens=int(job["max_tokens"]),
    )
