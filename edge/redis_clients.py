"""The two kinds of Redis client, with the time-outs that keep a caller from hanging.

`socket_timeout` is larger than any blocking read we do, or the read would fail.
"""

from __future__ import annotations

from typing import Any

import redis
import redis.asyncio

from edge.errors import SetupError

BLOCK_MS = 1000
# What a call raises when the server is away, full, or refuses us.
UNREACHABLE = (redis.RedisError, OSError)
_OPTIONS: dict[str, Any] = {
    "socket_connect_timeout": 2,
    "socket_timeout": 5,
    "health_check_interval": 25,
}


def sync_client(url: str) -> redis.Redis:
    """For worker threads."""
    return redis.Redis.from_url(_given(url), **_OPTIONS)


def async_client(url: str) -> redis.asyncio.Redis:
    """For the web process; one connection for each client that follows a job."""
    return redis.asyncio.Redis.from_url(_given(url), max_connections=512, **_OPTIONS)


def _given(url: str) -> str:
    if not url:
        raise SetupError(
            "No Redis address is set. Start everything with `edge up`, or set "
            "EDGE_BROKER_URL and EDGE_CACHE_URL."
        )
    return url
