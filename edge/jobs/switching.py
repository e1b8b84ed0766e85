"""Which model is the default, the one that answers questions which name none, and how
another takes its place. It lies in the broker, so that all web processes follow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast

import redis

from edge.errors import ModelNotFound, NotFound, Unavailable
from edge.jobs import keys
from edge.jobs.fleet import WorkerInfo, known
from edge.jobs.record import SWITCH_S
from edge.jobs.scripts import Scripts, named

DEFAULT, SWITCH, SUPERVISOR = keys.DEFAULT(), keys.SWITCH(), keys.SUPERVISOR()
RETIRED_S = PAUSED_S = 60  # unless it is renewed
SUPERVISOR_S = 5

State = Literal["wished", "loading", "ending", "done", "failed"]


@dataclass(frozen=True)
class Switch:
    """A switch to `model`: how far it is, and a sentence about that."""

    model: str
    state: State
    message: str

    @property
    def is_over(self) -> bool:
        return self.state in ("done", "failed")


@dataclass(frozen=True)
class Wish:
    """Load `model`, which becomes the default; `with_gap`: the present one leaves
    first."""

    model: str
    with_gap: bool


class Switching:
    """The default model and its switches. Synchronous; each method raises one of
    UNREACHABLE while the broker is away."""

    def __init__(self, broker: redis.Redis) -> None:
        self._broker = broker
        self._scripts = Scripts(broker)

    # For the one who wants another model.

    def default(self) -> str:
        """The default model; empty before the first worker has begun."""
        return _text(self._broker.hget(DEFAULT, "model"))

    def before(self) -> str:
        """The default model before the present one. Raises NotFound without one."""
        if model := _text(self._broker.hget(DEFAULT, "before")):
            return model
        raise NotFound("There was no other default model before this one.")

    def switch_to(self, model: str, *, with_gap: bool = False) -> Switch:
        """Makes a served model the default at once, or asks the `edge up` that is there
        to load it; then `latest` tells how far that is.

        Raises ModelNotFound when no worker serves it and no `edge up` is there, and
        Unavailable while another switch is under way.
        """
        was = self.default()
        match self.activate(model):
            case "moved":
                message = f"{model} is the default model now. {was} is still served."
                return Switch(model, "done", message)
            case "already":
                return Switch(model, "done", f"{model} is the default model already.")
        gap = "1" if with_gap else ""
        reply = self._scripts("wish", model=model, with_gap=gap)
        if reply == b"absent":
            raise ModelNotFound(
                f"No worker serves {model}, and no `edge up` is here to load it. Start "
                f"a worker with EDGE_MODEL={model} first.",
                param="model",
            )
        latest = self.latest()
        if reply == b"busy":
            raise Unavailable(
                f"A switch to {latest and latest.model} is under way. Try again when "
                "it is over."
            )
        return latest or Switch(model, "wished", "")

    def drain(self, model: str) -> bool:
        """Lets the workers of `model` take nothing new for RETIRED_S. Returns whether
        they have answered all that they were asked, those too that have died."""
        live, lost = known(self._broker)
        return all([self.retire(pool) for pool in _pools(model, [*live, *lost])])

    def progress(self, model: str) -> Switch:
        """How far the switch to `model` is. Raises NotFound when it is not the default
        and no switch to it is known; one is forgotten SWITCH_S after its latest news,
        and when the next one begins."""
        latest = self.latest()
        if latest and latest.model == model and latest.state != "done":
            return latest
        if self.default() == model:
            return Switch(model, "done", f"{model} is the default model.")
        raise NotFound(f"No switch to {model} is known: begin one.")

    def latest(self) -> Switch | None:
        """The latest switch that needed loading; None before the first."""
        found: Any = self._broker.hgetall(SWITCH)
        if not found:
            return None
        fields = {name.decode(): value.decode() for name, value in found.items()}
        state = cast(State, fields["state"])
        return Switch(fields["model"], state, fields["message"])

    def is_supervised(self) -> bool:
        """Whether an `edge up` is here."""
        return bool(self._broker.exists(SUPERVISOR))

    # For `edge up`.

    def begin_with(self, model: str) -> None:
        """Makes `model` the default, whatever it was before."""
        self._broker.hset(DEFAULT, mapping={"model": model, "before": ""})
        self._broker.delete(SWITCH)

    def join_with(self, model: str) -> None:
        """Makes `model` the default where nobody serves the recorded one, and ends a
        switch whose `edge up` has died."""
        if not self.is_supervised():
            self._broker.delete(SWITCH)
        live, _ = known(self._broker)
        if not _pools(self.default(), live):
            self.activate(model)

    def take(self) -> Wish | None:
        """The wish that nobody has taken. Says that an `edge up` is here."""
        self._broker.set(SUPERVISOR, 1, ex=SUPERVISOR_S)
        found = self._scripts("take", message="`edge up` prepares it.")
        if found is None:
            return None
        fields = named(found)
        return Wish(fields["model"], with_gap=fields["with_gap"] == "1")

    def report(self, model: str, state: State, message: str) -> None:
        """Tells how far the switch to `model` is."""
        news: dict[Any, Any] = {"model": model, "state": state, "message": message}
        with self._broker.pipeline() as pipe:
            pipe.hset(SWITCH, mapping=news)
            pipe.expire(SWITCH, SWITCH_S)
            pipe.execute()

    def renew(self) -> None:
        """Keeps the latest switch for another SWITCH_S: it is still under way."""
        self._broker.expire(SWITCH, SWITCH_S)

    def activate(
        self, model: str, *, may_load: bool = False
    ) -> Literal["moved", "already", "absent"]:
        """Makes `model` the default in one step; `absent`: no live worker serves it."""
        reply = self._scripts("activate", model=model, may_load=may_load).decode()
        if reply != "absent":  # it may have been retired a moment ago
            live, _ = known(self._broker)
            for pool in _pools(model, live):
                self.reopen(pool)
        return cast(Literal["moved", "already", "absent"], reply)

    def retire(self, pool: str) -> bool:
        """Lets a pool take no new jobs for RETIRED_S. Returns whether it has none."""
        self._broker.set(keys.RETIRED(pool), 1, ex=RETIRED_S)
        return not self.n_live(pool)

    def reopen(self, pool: str) -> None:
        """Lets a pool take new jobs again."""
        self._broker.delete(keys.RETIRED(pool))

    def pause(self, pool: str) -> bool:
        """Lets no waiting job of a pool begin for PAUSED_S. Returns whether none
        runs."""
        self._broker.set(keys.PAUSED(pool), 1, ex=PAUSED_S)
        return not self._broker.zcard(keys.RUNNING(pool))

    def resume(self, pool: str) -> None:
        """Ends `pause`."""
        self._broker.delete(keys.PAUSED(pool))

    def n_live(self, pool: str) -> int:
        """How many unfinished jobs a pool has."""
        return int(self._broker.zcard(keys.LIVE(pool)))

    def mark(self, pool: str) -> bytes:
        """What changes whenever a job of the pool has ended."""
        return cast("bytes | None", self._broker.get(keys.PACE(pool))) or b""


def _text(value: Any) -> str:
    return value.decode() if value else ""


def _pools(model: str, workers: Iterable[WorkerInfo]) -> set[str]:
    return {worker.pool for worker in workers if worker.model == model}
