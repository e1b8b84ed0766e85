"""The answer cache: the same question about the same pixels is computed once.

Only exact repeats count, and only greedy ones: an answer that was drawn by chance is
not the answer to the next question. Values are JSON.
"""

from __future__ import annotations

import hashlib
import json
import logging

import redis.asyncio

from edge.redis_clients import UNREACHABLE
from edge.request import Answer, Request

log = logging.getLogger(__name__)

SCHEMA = 2  # raise it when the meaning of a key or a value changes


def answer_key(request: Request, fingerprint: str) -> str:
    """The name of the answer to `request` by the model files with `fingerprint`.

    Covers everything that can change the answer: messages with picture hashes in
    their order, every sampling field, and the model. Not the name it was asked by.
    """
    asked = {**request.to_json(), "model": fingerprint, "schema": SCHEMA}
    canonical = json.dumps(asked, sort_keys=True, ensure_ascii=True)
    return f"edge:answer:{hashlib.sha256(canonical.encode()).hexdigest()}"


class AnswerCache:
    """Answers by key. A cache that is gone or damaged is an empty one."""

    def __init__(self, cache: redis.asyncio.Redis, ttl_s: int) -> None:
        self._cache = cache
        self._ttl_s = ttl_s

    async def get(self, key: str) -> Answer | None:
        try:
            stored = await self._cache.get(key)
            return Answer.from_json(json.loads(stored)) if stored else None
        except UNREACHABLE as error:
            log.warning("answer cache not reachable: %s", error)
        except (ValueError, KeyError, TypeError):
            log.warning("a damaged entry in the answer cache is ignored")
        return None

    async def used_bytes(self) -> int:
        """Memory of the cache server. Raises one of UNREACHABLE when it is away."""
        memory = await self._cache.info("memory")
        return int(memory["used_memory"])

    async def put(self, key: str, answer: Answer) -> None:
        try:
            await self._cache.set(key, json.dumps(answer.to_json()), ex=self._ttl_s)
        except UNREACHABLE as error:
            log.warning("answer cache not reachable: %s", error)
