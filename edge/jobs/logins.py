"""What all web processes of a broker know about sessions: the secret that signs their
cookies, and the sessions that ended before their cookies expire."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

import redis.asyncio

from edge.errors import Unavailable
from edge.jobs import keys
from edge.redis_clients import UNREACHABLE

T = TypeVar("T")
MOST_ENDED = 1000  # sessions of one key


class Logins:
    """Each method raises Unavailable when the broker is away."""

    def __init__(self, broker: redis.asyncio.Redis) -> None:
        self._broker = broker
        self._secret = b""

    async def secret(self) -> bytes:
        """What cookies are signed with. The broker keeps it, so that sessions outlive a
        restart."""
        if not self._secret:
            made = secrets.token_hex(32)
            await _reached(self._broker.set(keys.SECRET(), made, nx=True))
            stored: Any = await _reached(self._broker.get(keys.SECRET()))
            self._secret = stored
        return self._secret

    async def end(self, key_id: str, session_id: str, ends: int) -> None:
        """Ends a session of a key whose cookie expires at `ends`, in seconds since
        1970. Of more than MOST_ENDED the earliest are forgotten: see `has_ended`."""
        ended, now, broker = keys.LOGGED_OUT(key_id), int(time.time()), self._broker
        await _reached(broker.zadd(ended, {session_id: ends}))
        await _reached(broker.zremrangebyscore(ended, "-inf", now))
        await _reached(broker.zremrangebyrank(ended, 0, -MOST_ENDED - 1))
        for is_first in (True, False):  # until the last of these cookies has expired
            await _reached(broker.expireat(ended, ends, nx=is_first, gt=not is_first))

    async def has_ended(self, key_id: str, session_id: str, ends: int) -> bool:
        """Whether a session has ended, or is older than MOST_ENDED that have: to log in
        and out again and again must not fill the broker."""
        ended = keys.LOGGED_OUT(key_id)
        if await _reached(self._broker.zscore(ended, session_id)) is not None:
            return True
        first = -MOST_ENDED
        found = self._broker.zrange(ended, first, first, withscores=True)
        oldest: Any = await _reached(found)
        return any(ends < latest for _, latest in oldest)


async def _reached(command: Awaitable[T]) -> T:
    try:
        return await command
    except UNREACHABLE as error:
        raise Unavailable(
            "Sessions cannot be looked up just now. Try again soon."
        ) from error
