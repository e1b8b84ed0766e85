"""The channel: carries the events of one attempt from its worker to whoever follows.

One Redis Stream for each attempt: a late reader starts at the beginning and misses
nothing, and an attempt that was given up writes where nobody reads.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

import redis
import redis.asyncio

from edge.events import Event, Failed, Finished, from_json, to_json
from edge.jobs.record import KEEP_S, events_key

QUIET_MS = 1000  # after so long without an event a follower is told so


class Publisher(Protocol):
    """The worker's end. Called from worker threads."""

    def publish(self, job_id: str, attempt: int, event: Event) -> None: ...


class Follower(Protocol):
    """The web's end."""

    def follow(self, job_id: str, attempt: int) -> AsyncIterator[Event | None]:
        """Events from the first, up to and with the terminal one.

        Gives None after each QUIET_MS without an event, so that the reader can look
        whether its job or its client is still there.
        """
        ...


class RedisPublisher:
    """Writes to streams in the broker."""

    def __init__(self, broker: redis.Redis) -> None:
        self._broker = broker

    def publish(self, job_id: str, attempt: int, event: Event) -> None:
        key = events_key(job_id, attempt)
        with self._broker.pipeline() as both:
            both.xadd(key, {"event": to_json(event)})
            both.expire(key, KEEP_S)
            both.execute()


class RedisFollower:
    """Reads streams in the broker."""

    def __init__(self, broker: redis.asyncio.Redis) -> None:
        self._broker = broker

    async def follow(self, job_id: str, attempt: int) -> AsyncIterator[Event | None]:
        key, cursor = events_key(job_id, attempt), b"0"
        while True:
            streams: Any = await self._broker.xread({key: cursor}, block=QUIET_MS)
            if not streams:
                yield None
                continue
            for entry, fields in _entries(streams):
                cursor = entry
                event = from_json(fields[b"event"])
                yield event
                if isinstance(event, Finished | Failed):
                    return


def _entries(streams: Any) -> Any:
    """The entries of the one stream asked for, in either protocol's shape."""
    if isinstance(streams, dict):
        [[entries]] = streams.values()
    else:
        [[_, entries]] = streams
    return entries
