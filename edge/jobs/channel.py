"""The channel: carries the events of one attempt from its worker to its followers.

One Redis Stream for each attempt: a late reader starts at the beginning and misses
nothing. Events are numbered, so that sending one again does no harm, and a closed
stream accepts no more, so that an abandoned attempt is no longer heard.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

import redis
import redis.asyncio

from edge.events import (
    Accepted,
    Event,
    Failed,
    Finished,
    Retried,
    Token,
    from_json,
    to_json,
)
from edge.jobs import keys
from edge.jobs.scripts import Scripts
from edge.redis_clients import AWAY

QUIET_MS = 1000  # without an event, after which a follower is given None
PATIENCE_S = 10.0  # with a broker that is away
RETRY_S = 0.3
Closing = Finished | Failed | Retried  # the last event of a stream


class Publisher(Protocol):
    """The worker's end. Called from worker threads."""

    def publish(
        self, job_id: str, attempt: int, first: int, events: Sequence[Event]
    ) -> bool:
        """Sends events, numbered from `first`; an attempt's first event has number 1.

        False when the attempt's stream is closed: they will not be read.
        """
        ...

    def close(self, job_id: str, attempt: int, event: Closing) -> None:
        """Sends the last event."""
        ...


class Follower(Protocol):
    """The web process's end."""

    def follow(self, job_id: str, attempt: int) -> AsyncIterator[Event | None]:
        """Events from the first to the one that closes the stream.

        Gives None after each QUIET_MS without an event, so that the reader can check
        its job and its client. Raises one of AWAY when the channel cannot be read for
        PATIENCE_S. After a gap (Redis lost events in a crash), only the last event is
        given: it holds the whole answer. Tokens that are there together are given as
        one.
        """
        ...


class RedisPublisher:
    """Writes to streams in the broker. The scripts that move jobs close them."""

    def __init__(self, broker: redis.Redis) -> None:
        self._scripts = Scripts(broker)

    def publish(
        self, job_id: str, attempt: int, first: int, events: Sequence[Event]
    ) -> bool:
        is_open = self._scripts(
            "publish",
            job_id=job_id,
            attempt=attempt,
            first=first,
            events=[to_json(event) for event in events],
        )
        return bool(is_open)

    def close(self, job_id: str, attempt: int, event: Closing) -> None:
        self._scripts("close", job_id=job_id, attempt=attempt, event=to_json(event))


class RedisFollower:
    """Reads streams in the broker."""

    def __init__(self, broker: redis.asyncio.Redis) -> None:
        self._broker = broker

    async def follow(self, job_id: str, attempt: int) -> AsyncIterator[Event | None]:
        key, cursor, expected = keys.EVENTS(job_id, attempt), b"0", 1
        away_since: float | None = None
        heard = time.monotonic()
        while True:
            try:
                streams: Any = await self._broker.xread({key: cursor}, block=QUIET_MS)
                away_since = None
            except AWAY:  # it resumes at its cursor when the broker is back
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > PATIENCE_S:
                    raise
                await asyncio.sleep(RETRY_S)
                continue
            if not streams or time.monotonic() - heard > QUIET_MS / 1000:
                heard = time.monotonic()
                yield None
            if not streams:
                continue
            joined = Token("")
            for entry, fields in _entries(streams):
                cursor, event = entry, from_json(fields[b"event"])
                if not isinstance(event, Accepted | Closing):
                    if _number(entry) != expected:
                        continue
                    expected += 1
                heard = time.monotonic()
                if isinstance(event, Token):
                    joined += event
                    continue
                if joined.text:
                    yield joined
                    joined = Token("")
                yield event
                if isinstance(event, Closing):
                    return
            if joined.text:
                yield joined


def _number(entry: bytes) -> int:
    return int(entry.partition(b"-")[0])


def _entries(streams: Any) -> Any:
    """The entries of the one stream that was read, in either protocol's shape."""
    if isinstance(streams, dict):
        [[entries]] = streams.values()
    else:
        [[_, entries]] = streams
    return entries
