"""The reconciler: repairs what a dead process left behind.

Runs in every web process; a short lock in the broker says which one works. It retries
or ends the jobs of dead workers, ends jobs past their deadline or without a client, and
sends a new message for jobs whose message was lost.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import redis.asyncio

from edge.jobs.demand import pools
from edge.jobs.queue import queue_of
from edge.jobs.record import LEASE_S
from edge.jobs.scripts import Scripts
from edge.redis_clients import UNREACHABLE

log = logging.getLogger(__name__)

TICK_S = 0.5
# While no job is live. The first that comes is found long before its lease could end.
REST_S = 2.0
LOCK_MS = 3000  # more than REST_S
SLACK_S = 1.0  # that a tick may be late


class Reconciler:
    """`call` sends a message to the queue of a pool."""

    def __init__(
        self, broker: redis.asyncio.Redis, call: Callable[[str], Awaitable[None]]
    ) -> None:
        self._broker = broker
        self._call = call
        self._scripts = Scripts(broker)
        self._name = secrets.token_hex(8)
        self._in_touch_since: float | None = None
        self._looked_at: float | None = None  # by the broker's clock
        self._n_uncalled: defaultdict[str, int] = defaultdict(int)

    async def run(self) -> None:
        """Runs until it is cancelled."""
        while True:
            has_work = True
            try:
                has_work = await self.tick()
            except UNREACHABLE as error:
                if self._in_touch_since is not None:
                    log.warning("the broker is away: %s", error)
                self._in_touch_since = None
            except Exception:  # nothing else would repair what it does not
                log.exception("reconciling failed")
            await asyncio.sleep(TICK_S if has_work else REST_S)

    async def tick(self) -> bool:
        """Whether jobs are live that this process looks after."""
        elected = await self._scripts("elect", name=self._name, lock_ms=LOCK_MS)
        is_elected, at, now = elected[0], float(elected[1]), time.monotonic()
        # The machine stood still, or its clock jumped: workers have not renewed either.
        if self._looked_at and at - self._looked_at > REST_S + SLACK_S:
            self._in_touch_since = None
        self._looked_at = at
        if self._in_touch_since is None:
            self._in_touch_since = now
        if not is_elected:
            return False
        in_touch_s = now - self._in_touch_since
        n_live = [await self._tidy(p, in_touch_s) for p in await pools(self._broker)]
        return any(n_live)

    async def _tidy(self, pool: str, in_touch_s: float) -> int:
        """How many jobs of the pool are live."""
        # While the broker was away no worker could renew its leases: give them time.
        if in_touch_s > LEASE_S:
            await self._find_lost(pool)
        n_waiting, n_live = await self._scripts("sweep", pool=pool)
        queued: Any = self._broker.llen(queue_of(pool))
        n_uncalled = n_waiting - await queued
        # A message leaves the queue a moment before its job does: look twice.
        for _ in range(min(n_uncalled, self._n_uncalled[pool])):
            await self._call(pool)
        self._n_uncalled[pool] = n_uncalled
        return int(n_live)

    async def _find_lost(self, pool: str) -> None:
        if n_again := await self._scripts("lost", pool=pool):
            log.warning("a worker died: %d of its jobs wait again", n_again)
