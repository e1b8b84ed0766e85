"""What cookies are signed with: one secret of all web processes on a broker."""

from __future__ import annotations

import secrets
from typing import Any

import redis.asyncio

KEY = "edge:secret"


class Secret:
    """Made by whichever process asks first; kept by the broker, so that sessions
    outlive a restart."""

    def __init__(self, broker: redis.asyncio.Redis) -> None:
        self._broker = broker
        self._known = b""

    async def __call__(self) -> bytes:
        """Raises one of UNREACHABLE when the broker is away."""
        if not self._known:
            await self._broker.set(KEY, secrets.token_hex(32), nx=True)
            stored: Any = await self._broker.get(KEY)
            self._known = stored
        return self._known
