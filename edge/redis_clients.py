"""The two kinds of Redis client, with time-outs for every command."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import redis
import redis.asyncio
from redis._parsers import BaseParser
from redis.asyncio.client import Pipeline
from redis.connection import parse_url

from edge.errors import SetupError

SyncRedis = redis.Redis
ServerError = redis.ResponseError  # a server's refusal


class DiskFull(ServerError):
    """The server cannot write its log and refuses all changes until it can."""


BaseParser.EXCEPTION_CLASSES["MISCONF"] = DiskFull

TIMEOUT_S = 5  # longer than any blocking read, or the read itself would fail
# What a call raises when the server is away, full, slow, or refuses the command;
UNREACHABLE = (redis.RedisError, OSError)
# and those of these errors that may be over in a moment.
AWAY = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.OutOfMemoryError,
    redis.ReadOnlyError,
    DiskFull,
    OSError,
)

_OPTIONS: dict[str, Any] = {
    "socket_connect_timeout": 2,
    "health_check_interval": 25,
    # By default each connection reads the library's version from disk to send it to the
    # server: that delayed the refusal of 64 simultaneous clients by a second.
    "driver_info": None,
}


class AsyncRedis(redis.asyncio.Redis):
    """An asynchronous client whose commands give up after TIMEOUT_S.

    The library's own `socket_timeout` is built on asyncio.wait_for, which in Python
    3.11 loses a cancellation that arrives when its work is done: the answer of a client
    that left would be computed to the end.
    """

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        async with asyncio.timeout(TIMEOUT_S):
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:
        return _Pipeline(
            self.connection_pool, self.response_callbacks, transaction, shard_hint
        )


class _Pipeline(Pipeline):
    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        async with asyncio.timeout(TIMEOUT_S):
            return await super().execute(raise_on_error)


def sync_client(url: str) -> redis.Redis:
    """For worker threads."""
    return redis.Redis.from_url(_checked(url), socket_timeout=TIMEOUT_S, **_OPTIONS)


def async_client(url: str) -> AsyncRedis:
    """For the web process; one connection for each client that follows a job."""
    client = AsyncRedis.from_url(
        _checked(url), socket_timeout=None, max_connections=512, **_OPTIONS
    )
    return cast(AsyncRedis, client)


def hears(client: redis.Redis) -> bool:
    """Whether the server answers at all. An error is an answer: a server whose disk is
    full refuses even a ping."""
    try:
        client.ping()
    except (redis.ConnectionError, redis.TimeoutError, OSError):
        return False
    except redis.RedisError:
        pass
    return True


def _checked(url: str) -> str:
    if not url:
        raise SetupError(
            "No Redis address is set. Start everything with `edge up`, or set "
            "EDGE_BROKER_URL and EDGE_CACHE_URL."
        )
    try:
        parse_url(url)  # type: ignore[no-untyped-call]
    except ValueError:  # its message may contain a part of the password
        raise SetupError(
            "EDGE_BROKER_URL or EDGE_CACHE_URL is not the address of a Redis server. "
            "Write redis://HOST:PORT/0; in a password, / is %2F and # is %23, or put "
            "the password into the file EDGE_REDIS_PASSWORD_FILE."
        ) from None
    return url
