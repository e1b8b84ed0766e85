"""What all web processes of a broker know about sessions: the secret that signs their
cookies, and the sessions that ended before their cookies expire."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable
from typing import Any, TypeVar

import redis.asyncio

from edge.errors import Unavailable
from edge.jobs import keys
from edge.redis_clients import UNREACHABLE

T = TypeVar("T")


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

    async def end(self, session_id: str, seconds: int) -> None:
        """Ends a session whose cookie is valid for another `seconds`."""
        key = keys.LOGGED_OUT(session_id)
        await _reached(self._broker.set(key, 1, ex=max(seconds, 1)))

    async def has_ended(self, session_id: str) -> bool:
        return bool(await _reached(self._broker.exists(keys.LOGGED_OUT(session_id))))


async def _reached(command: Awaitable[T]) -> T:
    try:
        return await command
    except UNREACHABLE as error:
        raise Unavailable(
            "Sessions cannot be looked up just now. Try again soon."
        ) from error
