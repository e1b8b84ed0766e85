"""How many jobs run and wait now, for metrics and health."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import redis.asyncio

from edge.jobs import keys


@dataclass(frozen=True)
class Demand:
    """Jobs that workers have, waiting jobs, and how long the oldest of those has
    waited. Admitted jobs whose pictures are still being read are neither: no worker
    could compute them."""

    n_running: int
    n_waiting: int
    oldest_waiting_s: float


async def pools(broker: redis.asyncio.Redis) -> list[str]:
    """All pools that have had a job."""
    found: Any = await broker.smembers(keys.POOLS())
    return [pool.decode() for pool in found]


async def demand(broker: redis.asyncio.Redis) -> Demand:
    """Over all pools, by the broker's clock."""
    n_running = n_waiting = 0
    oldest_s = 0.0
    for pool in await pools(broker):
        async with broker.pipeline() as together:
            together.zrange(keys.LIVE(pool), 0, -1, withscores=True)
            together.zrange(keys.WAITING(pool), 0, -1)
            together.zcard(keys.RUNNING(pool))
            together.time()
            live, waiting, running, (seconds, microseconds) = await together.execute()
        n_running += running
        n_waiting += len(waiting)
        now, since = seconds + microseconds / 1e6, dict(live)
        oldest_s = max([oldest_s, *(now - since.get(job, now) for job in waiting)])
    return Demand(n_running, n_waiting, oldest_s)
