"""The reconciler: makes true what nobody else is left to make true.

Runs in every web process; a short lock in the broker says which one works. It puts
jobs of dead workers back or ends them, ends jobs that are late or forgotten, and calls
for those whose message got lost.
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

from edge.jobs import keys
from edge.jobs.demand import pools
from edge.jobs.queue import queue_of
from edge.jobs.record import LEASE_S
from edge.jobs.scripts import Scripts
from edge.redis_clients import UNREACHABLE

log = logging.getLogger(__name__)

TICK_S = 0.5
LOCK = keys.RECONCILER()
LOCK_MS = 2000


class Reconciler:
    """One of several; `call` sends a message to the queue of a pool."""

    def __init__(
        self, broker: redis.asyncio.Redis, call: Callable[[str], Awaitable[None]]
    ) -> None:
        self._broker = broker
        self._call = call
        self._scripts = Scripts(broker)
        self._name = secrets.token_hex(8)
        self._in_touch_since: float | None = None
        self._n_uncalled: defaultdict[str, int] = defaultdict(int)

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                await self.tick()
            except UNREACHABLE as error:
                if self._in_touch_since is not None:
                    log.warning("the broker is away: %s", error)
                self._in_touch_since = None
            except Exception:  # it must never be the one that is missing
                log.exception("reconciling failed")
            await asyncio.sleep(TICK_S)

    async def tick(self) -> None:
        is_ours = await self._elected()
        now = time.monotonic()
        if self._in_touch_since is None:
            self._in_touch_since = now
        if not is_ours:
            return
        for pool in await pools(self._broker):
            await self._tidy(pool, now - self._in_touch_since)

    async def _elected(self) -> bool:
        if await self._broker.set(LOCK, self._name, nx=True, px=LOCK_MS):
            return True
        if await self._broker.get(LOCK) != self._name.encode():
            return False
        await self._broker.pexpire(LOCK, LOCK_MS)
        return True

    async def _tidy(self, pool: str, in_touch_s: float) -> None:
        # While the broker was away nobody could renew: first they get the time to.
        if in_touch_s > LEASE_S:
            await self._find_lost(pool)
        n_waiting = await self._scripts("sweep", pool=pool)
        queued: Any = self._broker.llen(queue_of(pool))
        n_uncalled = n_waiting - await queued
        # A message is gone from the queue a moment before its job is: look twice.
        for _ in range(min(n_uncalled, self._n_uncalled[pool])):
            await self._call(pool)
        self._n_uncalled[pool] = n_uncalled

    async def _find_lost(self, pool: str) -> None:
        if n_again := await self._scripts("lost", pool=pool):
            log.warning("a worker died: %d of its jobs wait again", n_again)
