"""Responses that clients may read again or go on from, in the cache server.

There, because nothing that a client stores may fill the broker, which the queue needs.
A stored response may therefore vanish at any time; its client then sends the whole
conversation. A culprit, whose name a client cannot change, has MOST_BYTES: its oldest
responses make room for new ones.
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
MOST_BYTES = 16 << 20  # of one culprit: what its clients sent, pictures in base64
MOST_RESPONSES = 1000  # of one culprit
PATIENCE_S = 2.0

# Enters a response in the index of its culprit, and deletes the oldest that have no
# room beside it: before it is written, or the server would evict others' entries.
_MAKE_ROOM = """
local index, member, now, keep_s = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local n_bytes = 0
redis.call('ZREMRANGEBYSCORE', index, '-inf', now - keep_s)
redis.call('ZADD', index, now, member)
redis.call('EXPIRE', index, keep_s)
for i, each in ipairs(redis.call('ZREVRANGE', index, 0, -1)) do
  local size, id = each:match('(%d+) (.+)')
  n_bytes = n_bytes + size
  if n_bytes > tonumber(ARGV[4]) or i > tonumber(ARGV[5]) then
    redis.call('UNLINK', ARGV[6] .. id)
    redis.call('ZREM', index, each)
  end
end
"""

# One that was deleted, or made room, must not come back without its owner.
_END = """
if redis.call('EXISTS', KEYS[1]) == 0 then return end
redis.call('HSET', KEYS[1], 'outcome', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""

GONE = (
    "There is no such response here. Responses are kept for a day, the newest "
    f"{MOST_BYTES >> 20} MiB of each key, or address without one, and only with store "
    "true. Send the whole conversation as input."
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
        index, member = RESPONSES(caller.culprit), _member(n_bytes, response.id)
        room = (time.time(), KEEP_S, MOST_BYTES, MOST_RESPONSES, RESPONSE(""))
        fields: dict[Any, Any] = {
            "owner": caller.name,
            "culprit": caller.culprit,
            "created": response.created,
            "model": response.model,
            "has_tools": int(response.has_tools),
            "asked": asked,
            "input": sent,
        }
        async with _reached(), self._cache.pipeline() as pipe:
            pipe.eval(_MAKE_ROOM, 1, index, member, *room)
            pipe.hset(RESPONSE(response.id), mapping=fields)
            pipe.expire(RESPONSE(response.id), KEEP_S)
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

    async def delete(self, response_id: str) -> None:
        """Deletes a response, for its owner."""
        key = RESPONSE(response_id)
        async with _reached(), self._cache.pipeline() as pipe:
            pipe.hget(key, "culprit")
            pipe.hstrlen(key, "input")
            pipe.hstrlen(key, "asked")
            pipe.unlink(key)
            culprit, *sizes, _ = await pipe.execute()
            if culprit is not None:
                index = RESPONSES(culprit.decode())
                await self._cache.zrem(index, _member(sum(sizes), response_id))


def _member(n_bytes: int, response_id: str) -> str:
    return f"{n_bytes} {response_id}"


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
