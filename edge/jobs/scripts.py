"""The Lua scripts that move jobs, each one atomic inside the broker.

A script takes named arguments and gives named replies. In front of its body stands what
it needs of the constants below, of the functions that name keys (see `edge.jobs.keys`)
and of the definitions in `lua/common.lua`, and `args`. They need Redis 7 or Valkey.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import redis
import redis.asyncio

from edge.jobs import keys, record

_FOLDER = Path(__file__).with_name("lua")
_NUMBERS = {
    "LEASE_S": record.LEASE_S,
    "WATCH_S": record.WATCH_S,
    "MISS_S": record.MISS_S,
    "VET_S": record.VET_S,
    "KEEP_S": record.KEEP_S,
    "KEEP_BYTES": record.KEEP_BYTES,
    "LEAST_KEEP_S": record.LEAST_KEEP_S,
    "BATCH_S": record.BATCH_S,
    "QUARANTINE_S": record.QUARANTINE_S,
    "MOST_DEATHS": record.MOST_DEATHS,
    "MOST_GUILT": record.MOST_GUILT,
    "SWITCH_S": record.SWITCH_S,
    "KEEP_USAGE_S": record.KEEP_USAGE_S,
    "DEAD_AFTER_S": record.DEAD_AFTER_S,
    "MOST_PAUSE_S": record.MOST_PAUSE_S,
    "LEAST_SPACING_S": record.LEAST_SPACING_S,
}
QUARANTINED = (
    "This question has crashed a worker more than once and is refused for a while. "
    "Change it, or send another picture."
)
_SENTENCES = {
    "LATE": "This question waited longer than its deadline.",
    "LEFT": "No client waited for the answer any more.",
    "DIED": "The worker died. Ask again.",
    "QUARANTINED": QUARANTINED,
}
# A full broker refuses scripts that add data; all others help to empty it.
_FILLING = ("admit", "hold", "enqueue", "charge")

Value = str | float | Sequence[Any] | Mapping[str, Any] | None


def names() -> list[str]:
    return sorted(p.stem for p in _FOLDER.glob("*.lua") if p.stem != "common")


def body(name: str) -> str:
    """What is written in a script's file."""
    return (_FOLDER / f"{name}.lua").read_text()


@cache
def _source(name: str) -> str:
    text = _with_common(body(name))
    flags = "" if name in _FILLING else " flags=allow-oom"
    sentences = {name: json.dumps(text) for name, text in _SENTENCES.items()}
    constants = {**_NUMBERS, **sentences}
    return "\n".join(
        [
            f"#!lua{flags}",
            *(
                f"local {name} = {constants[name]}"
                for name in constants
                if name in text
            ),
            *(key.lua for key in keys.table() if f"{key.name}_key(" in text),
            "local args = cjson.decode(ARGV[1])",
            text,
        ]
    )


def _with_common(text: str) -> str:
    """A body behind the definitions of `lua/common.lua` that it needs, and no others:
    every run of a script makes them again."""
    # backwards: the later use the earlier
    for definition in reversed(body("common").split("\n\n")):
        name = re.search(r"^local (?:function )?(\w+)", definition, re.MULTILINE)
        if name and re.search(rf"\b{name[1]}[(\[]", text):
            text = f"{definition}\n{text}"
    return text


class Scripts:
    """The scripts by name, for one client: `await scripts("look", job_id=job_id)`.

    An argument that is None is absent. Over a synchronous client the same call returns
    the reply at once.
    """

    def __init__(self, broker: redis.Redis | redis.asyncio.Redis) -> None:
        self._broker = broker
        self._scripts: dict[str, Any] = {}  # those that have been called

    def __call__(self, script: str, /, **args: Value) -> Any:
        if script not in self._scripts:
            self._scripts[script] = self._broker.register_script(_source(script))
        given = {name: value for name, value in args.items() if value is not None}
        return self._scripts[script](args=[json.dumps(given)])


def named(reply: Sequence[bytes]) -> dict[str, str]:
    """What `reply` of `lua/common.lua` wrote: values by name."""
    texts = [part.decode() for part in reply]
    return dict(zip(texts[::2], texts[1::2], strict=True))
