"""A channel inside one process, with the same guarantees and without Redis."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence

from edge.events import Event
from edge.jobs.channel import QUIET_MS, Closing

_POLL_S = 0.005


class StubChannel:
    """Publisher and Follower in one: keeps every event in a list."""

    def __init__(self) -> None:
        self._events: defaultdict[tuple[str, int], list[Event]] = defaultdict(list)

    def publish(
        self, job_id: str, attempt: int, first: int, events: Sequence[Event]
    ) -> bool:
        sent = self._events[job_id, attempt]
        if sent and isinstance(sent[-1], Closing):
            return False
        sent.extend(events[len(sent) + 1 - first :])
        return True

    def close(self, job_id: str, attempt: int, event: Closing) -> None:
        self._events[job_id, attempt].append(event)

    async def follow(self, job_id: str, attempt: int) -> AsyncIterator[Event | None]:
        events, n_read = self._events[job_id, attempt], 0
        while True:
            quiet_until = time.monotonic() + QUIET_MS / 1000
            while len(events) == n_read and time.monotonic() < quiet_until:
                await asyncio.sleep(_POLL_S)
            if len(events) == n_read:
                yield None
                continue
            event, n_read = events[n_read], n_read + 1
            await asyncio.sleep(0)  # lets other tasks run, and a cancellation arrive
            yield event
            if isinstance(event, Closing):
                return
