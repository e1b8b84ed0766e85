"""The Lua scripts that move jobs, each one atomic inside the broker.

What several of them need is in `lua/common.lua`, in front of which stand the numbers
and sentences below. They need Redis 7 or Valkey.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import redis
import redis.asyncio

from edge.jobs import record

_FOLDER = Path(__file__).with_name("lua")
_NUMBERS = {
    "LEASE_S": record.LEASE_S,
    "WATCH_S": record.WATCH_S,
    "VET_S": record.VET_S,
    "KEEP_S": record.KEEP_S,
    "BATCH_S": record.BATCH_S,
    "QUARANTINE_S": record.QUARANTINE_S,
    "MOST_DEATHS": record.MOST_DEATHS,
    "MOST_GUILT": record.MOST_GUILT,
    "KEEP_USAGE_S": record.KEEP_USAGE_S,
    "DEAD_AFTER_S": record.DEAD_AFTER_S,
}
QUARANTINED = (
    "This question has brought a worker down more than once and is refused for a "
    "while. Change it, or send another picture."
)
_SENTENCES = {
    "LATE": "This question waited longer than its deadline.",
    "LEFT": "Nobody waited for the answer any more.",
    "DIED": "The worker died. Ask again.",
    "QUARANTINED": QUARANTINED,
}
# A full broker refuses those that bring something; these let it become emptier.
_FILLING = ("admit", "enqueue", "charge")


@cache  # each client asks for all of them
def _source(name: str) -> str:
    flags = "" if name in _FILLING else " flags=allow-oom"
    texts = {key: json.dumps(text) for key, text in _SENTENCES.items()}
    values = {**_NUMBERS, **texts}
    constants = [f"local {key} = {value}" for key, value in values.items()]
    parts = [(_FOLDER / f"{part}.lua").read_text() for part in ("common", name)]
    return "\n".join([f"#!lua{flags}", *constants, *parts])


class Scripts:
    """The scripts by name, for one client: `await scripts("look", job_id, 1)`.

    Over a synchronous client the same call returns at once with the reply.
    """

    def __init__(self, broker: redis.Redis | redis.asyncio.Redis) -> None:
        names = (path.stem for path in _FOLDER.glob("*.lua") if path.stem != "common")
        self._scripts = {name: broker.register_script(_source(name)) for name in names}

    def __call__(self, name: str, *args: str | bytes | float) -> Any:
        return self._scripts[name](args=args)
