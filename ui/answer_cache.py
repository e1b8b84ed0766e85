"""The answer cache: the same question about the same pixels is computed once.

Only exact repeats of greedy questions: a sampled answer is not the answer to the next
question. Values are JSON.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import redis.asyncio

from edge.jobs import cache_keys
from edge.redis_clients import UNREACHABLE
from edge.request import Answer, Request

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE_S = 0.5
PAUSE_S = 5.0
SCHEMA = 4  # raise it when the meaning of a key or a value changes


def answer_key(request: Request, fingerprint: str) -> str:
    """The cache key of the answer to `request` by the model files of `fingerprint`.

    Covers everything that can change the answer: messages with picture hashes in
    their order, every sampling field, the model, and the scope: callers that share
    nothing have different keys. The name of the model in the request does not count.
    """
    asked = {**request.to_json(), "model": fingerprint, "schema": SCHEMA}
    del asked["cache"]  # says where an answer comes from, not which one it is
    canonical = json.dumps(asked, sort_keys=True, ensure_ascii=True)
    return cache_keys.ANSWER(hashlib.sha256(canonical.encode()).hexdigest())


class AnswerCache:
    """Answers by key. A cache that is unreachable or damaged counts as empty."""

    def __init__(self, cache: redis.asyncio.Redis, ttl_s: int) -> None:
        self._cache = cache
        self._ttl_s = ttl_s
        self._away_until = 0.0

    async def get(self, key: str) -> Answer | None:
        """The answer, whose whole prompt counts as cached."""
        stored = await self._try(lambda: self._cache.get(key))
        try:
            return _known(Answer.from_json(json.loads(stored))) if stored else None
        except (ValueError, KeyError, TypeError):
            log.warning("a damaged entry in the answer cache is ignored")
        return None

    async def used_bytes(self) -> int:
        """Memory of the cache server. Raises one of UNREACHABLE when it is away."""
        memory = await self._cache.info("memory")
        return int(memory["used_memory"])

    async def put(self, key: str, answer: Answer) -> None:
        text = json.dumps(answer.to_json())
        await self._try(lambda: self._cache.set(key, text, ex=self._ttl_s))

    async def _try(self, command: Callable[[], Awaitable[T]]) -> T | None:
        """The result of `command`; None when the server is unreachable. Then it is not
        asked again for PAUSE_S: every question would wait PATIENCE_S for it."""
        if time.monotonic() < self._away_until:
            return None
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await command()
        except UNREACHABLE as error:  # TimeoutError is among them
            log.warning("answer cache not reachable: %s", error or "it hangs")
            self._away_until = time.monotonic() + PAUSE_S
        return None


def _known(answer: Answer) -> Answer:
    usage = replace(
        answer.usage,
        cached_tokens=answer.usage.prompt_tokens,
        memory_image_tokens=0,
        stored_image_tokens=0,
    )
    return replace(answer, usage=usage)
