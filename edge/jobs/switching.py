"""The default model: the one that answers questions which name none. It lies in the
broker, so that all web processes follow when it moves."""

from __future__ import annotations

from typing import Literal, cast

import redis

from edge.jobs import keys
from edge.jobs.scripts import Scripts

DEFAULT = keys.DEFAULT()


class Switching:
    """The default model, and its moves. Synchronous."""

    def __init__(self, broker: redis.Redis) -> None:
        self._broker = broker
        self._scripts = Scripts(broker)

    def begin_with(self, model: str) -> None:
        """Makes `model` the default, whatever it was before."""
        self._broker.hset(DEFAULT, mapping={"model": model, "before": ""})

    def activate(self, model: str) -> Literal["moved", "already", "absent"]:
        """Makes `model` the default in one step; `absent`: no live worker serves it."""
        reply = cast(bytes, self._scripts("activate", model=model)).decode()
        return cast(Literal["moved", "already", "absent"], reply)
