"""How much is asked of the fleet at this moment, for whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass

import redis.asyncio

from edge.jobs.record import LIVE, WAITING


@dataclass(frozen=True)
class Demand:
    """Jobs that run, jobs that wait, and for how long the first of those has."""

    n_running: int
    n_waiting: int
    oldest_waiting_s: float


async def demand(broker: redis.asyncio.Redis) -> Demand:
    """All as of one moment, by the broker's clock."""
    async with broker.pipeline() as together:
        together.zcard(LIVE)
        together.zcard(WAITING)
        together.zrange(WAITING, 0, 0, withscores=True)
        together.time()
        n_live, n_waiting, oldest, (seconds, microseconds) = await together.execute()
    now = seconds + microseconds / 1e6
    admitted = oldest[0][1] if oldest else now
    return Demand(n_live - n_waiting, n_waiting, max(0.0, now - admitted))
