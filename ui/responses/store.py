"""Responses that clients may read again or go on from, in the cache server.

There, because nothing that a client stores may fill the broker, which the queue needs.
A stored response may therefore vanish at any time; its client then sends the whole
conversation. An account has MOST_BYTES: its oldest responses make room for new ones.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio

from edge.caller import Caller
from edge.errors import NotFound, Unavailable
from edge.events import Terminal, from_json, to_json
from edge.jobs.cache_keys import RESPONSE, RESPONSES
from edge.redis_clients import UNREACHABLE
from ui.responses.reply import Response

KEEP_S = 86_400
MOST_BYTES = 16 << 20  # of one account: what its clients sent, pictures in base64
MOST_RESPONSES = 1000  # of one account
PATIENCE_S = 2.0

# One that was deleted, or made room, must not come back without its owner.
_END = """
if redis.call('EXISTS', KEYS[1]) == 0 then return end
redis.call('HSET', KEYS[1], 'outcome', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""

GONE = (
    "There is no such response here. Responses are kept for a day, the newest "
    f"{MOST_BYTES >> 20} MiB of each client, and only with store true. Send the whole "
    "conversation as input."
)


class ResponseStore:
    """Each method raises Unavailable when the cache server is away, and those that
    read raise NotFound for a response of another caller, as for one that is gone."""

    def __init__(self, cache: redis.asyncio.Redis) -> None:
        self._cache = cache

    async def put(self, response: Response, caller: Caller, sent: str) -> None:
        """Stores a response that has not ended; `sent` are its input items as JSON."""
        asked = json.dumps(response.asked)
        n_bytes = len(sent) + len(asked)
        key, index = (
            RESPONSE(response.id),
            RESPONSES(caller.account),
        )
        now = time.time()
        fields: dict[Any, Any] = {
            "owner": caller.name,
            "created": response.created,
            "model": response.model,
            "has_tools": int(response.has_tools),
            "asked": asked,
            "input": sent,
        }
        async with _reached():
            async with self._cache.pipeline() as pipe:
                pipe.hset(key, mapping=fields)
                pipe.expire(key, KEEP_S)
                pipe.zadd(index, {_member(n_bytes, response.id): now})
                pipe.expire(index, KEEP_S)
                pipe.zremrangebyscore(index, "-inf", now - KEEP_S)
                pipe.zrevrange(index, 0, -1)
                *_, members = await pipe.execute()
            if old := _too_many([member.decode() for member in members]):
                async with self._cache.pipeline() as pipe:
                    pipe.zrem(index, *old)
                    pipe.unlink(*(RESPONSE(one.split()[1]) for one in old))
                    await pipe.execute()

    async def end(self, response_id: str, outcome: Terminal) -> None:
        """Adds how a response has ended, if it is still there."""
        async with _reached():
            await self._cache.eval(
                _END, 1, RESPONSE(response_id), to_json(outcome), KEEP_S
            )

    async def get(
        self, response_id: str, caller: Caller
    ) -> tuple[Response, Terminal | None]:
        """A response, and how it has ended, if that has been added."""
        names = ("owner", "created", "model", "has_tools", "asked", "outcome")
        async with _reached():
            found: Any = await self._cache.hmget(RESPONSE(response_id), names)
        fields = {
            name: value.decode()
            for name, value in zip(names, found, strict=True)
            if value is not None
        }
        if fields.get("owner") != caller.name:
            raise NotFound(GONE)
        response = Response(
            response_id.removeprefix("resp_"),
            float(fields["created"]),
            fields["model"],
            fields["has_tools"] == "1",
            json.loads(fields["asked"]),
        )
        outcome = from_json(fields["outcome"]) if "outcome" in fields else None
        return response, outcome if isinstance(outcome, Terminal) else None

    async def n_sent(self, response_id: str) -> int:
        """The bytes of `sent`; 0 when it is gone."""
        async with _reached():
            return int(await self._cache.hstrlen(RESPONSE(response_id), "input"))

    async def sent(self, response_id: str) -> bytes:
        """The input items of a response that `get` has found, as JSON."""
        async with _reached():
            found: Any = await self._cache.hget(RESPONSE(response_id), "input")
        if found is None:
            raise NotFound(GONE)
        return bytes(found)

    async def delete(self, response_id: str, caller: Caller) -> None:
        """Deletes a response that `get` has found."""
        key = RESPONSE(response_id)
        async with _reached(), self._cache.pipeline() as pipe:
            pipe.hstrlen(key, "input")
            pipe.hstrlen(key, "asked")
            pipe.unlink(key)
            *sizes, _ = await pipe.execute()
            index = RESPONSES(caller.account)
            await self._cache.zrem(index, _member(sum(sizes), response_id))


def _member(n_bytes: int, response_id: str) -> str:
    return f"{n_bytes} {response_id}"


def _too_many(members: list[str]) -> list[str]:
    """The members of an index, from the newest, that have no room in it."""
    n_bytes = 0
    for i, member in enumerate(members):
        n_bytes += int(member.split()[0])
        if n_bytes > MOST_BYTES or i == MOST_RESPONSES:
            return members[i:]
    return []


@asynccontextmanager
async def _reached() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield
    except UNREACHABLE as error:
        raise Unavailable(
            "Stored responses cannot be reached just now. Try again soon, or send the "
            "whole conversation as input, with store false."
        ) from error
