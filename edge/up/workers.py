"""The workers of `edge up`, one for each model, and who takes the place of whom."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from edge.errors import SetupError
from edge.jobs.switching import State, Switching, Wish
from edge.redis_clients import UNREACHABLE, sync_client
from edge.serving.plan import Plan
from edge.settings import Settings
from edge.up.model_worker import ModelWorker, Steps, insist, until
from edge.up.models import fits_now, plan_another
from edge.up.parts import worker
from edge.up.sleep import Sleep
from edge.up.stack import Stack
from edge.up.switch import ModelSwitch

log = logging.getLogger(__name__)


class Workers:
    """Starts the workers, which work in `folder`, and switches when somebody wishes it.
    `settings` name the broker."""

    def __init__(self, settings: Settings, folder: Path, stack: Stack) -> None:
        self._settings = settings
        self._folder = folder
        self._stack = stack
        self._broker = sync_client(settings.broker_url)
        self._switching = Switching(self._broker)
        self._workers: dict[str, ModelWorker] = {}
        self._sleep = Sleep(
            self._broker, self._workers.values(), settings.idle_unload_s, stack.say
        )
        self._steps: list[Steps[None]] = []

    def begin_with(self, model: str) -> None:
        """Makes a model the default in a broker that nobody else uses."""
        self._switching.begin_with(model)

    def join_with(self, model: str) -> None:
        """Makes a model the default in a broker of others, if theirs is not served."""
        self._switching.join_with(model)

    def start(self, plans: Sequence[Plan]) -> None:
        """Loads all models, the default one first; those that do not fit beside the
        others begin asleep. Raises SetupError when one cannot be loaded."""
        for nth, plan in enumerate(plans):
            has_room = not self._workers or fits_now(plan, self._growth_bytes)
            name = f"worker-{plan.files.name}" if self._workers else "worker"
            one = self._workers[plan.files.name] = self._worker(plan, name, nth)
            if not has_room and self._settings.idle_unload_s:
                self._sleep.lay_down(one)
                continue
            for _ in one.load(self._broker):
                if self._stack.is_stopping:
                    return
                time.sleep(0.1)

    def look(self) -> None:
        """Does the next step of everything that is under way."""
        try:
            if wish := self._switching.take():
                self._steps.append(self._switch(wish))
            self._steps += self._sleep.look()
        except UNREACHABLE:
            pass
        self._steps = [steps for steps in self._steps if _go_on(steps)]

    def _worker(self, plan: Plan, name: str, nth: int) -> ModelWorker:
        port = plan.child_settings.metrics_port
        settings = replace(
            plan.child_settings,
            metrics_port=port and port + nth,
            broker_url=self._settings.broker_url,
            cache_url=self._settings.cache_url,
        )
        part = worker(settings, plan.files.name, self._folder, name)
        return ModelWorker(plan, part, self._stack, nth)

    def _switch(self, wish: Wish) -> Steps[None]:
        try:
            yield from self._switch_to(wish)
        except Exception:
            log.exception("a switch failed")
            news = "It failed; the log of `edge up` says why."
            yield from self._report(wish, "failed", news)

    def _switch_to(self, wish: Wish) -> Steps[None]:
        """From the default model to another. One that was started with the stack stays
        beside it; any other takes its place."""
        default = yield from insist(self._switching.default)
        old = self._workers.get(default)
        known = self._workers.get(wish.model)
        while any(one.is_busy and not one.has_failed for one in (old, known) if one):
            yield
        if known:
            if not known.is_busy:  # else it is tried again already
                yield from self._sleep.wake(known)
            yield from until(lambda: self._switching.activate(known.name) != "absent")
            yield from self._report(
                wish, "done", f"{known.name} is the default model now."
            )
            return
        try:
            new = self._planned(wish, old)
            switch = ModelSwitch(self._broker, new, old, self._sleep.wake)
            with old.busy() if old else nullcontext():
                yield from switch.after() if wish.with_gap else switch.beside()
        except SetupError as error:
            yield from self._report(
                wish, "failed", f"{error.message} {default} serves on."
            )
            return
        if gone := self._workers.pop(default, None):
            gone.close_stand_in()
        self._workers[new.name] = new
        news = f"{new.name} is the default model now. {default} has left."
        yield from self._report(wish, "done", news)

    def _report(self, wish: Wish, state: State, message: str) -> Steps[None]:
        return insist(lambda: self._switching.report(wish.model, state, message))

    @property
    def _growth_bytes(self) -> int:
        """What all workers may still take, by their plans."""
        return sum(worker.growth_bytes for worker in self._workers.values())

    def _planned(self, wish: Wish, old: ModelWorker | None) -> ModelWorker:
        """The worker of the wished model. Raises SetupError when it does not fit into
        memory, or its files are missing."""
        growth_bytes = self._growth_bytes
        freed_bytes = old.growth_bytes + old.held_bytes if old else 0
        if wish.with_gap:
            plan = plan_another(self._settings, wish.model, growth_bytes - freed_bytes)
        else:
            plan = self._plan_beside(wish.model, growth_bytes, freed_bytes)
        nth = old.nth if old else 0  # it takes its place
        new = self._worker(plan, f"worker-{plan.files.name}", nth)
        if old:  # the larger file takes longer
            ratio = plan.need.weights_bytes / max(old.plan.need.weights_bytes, 1)
            new.load_s = old.load_s * max(ratio, 1.0)
        return new

    def _plan_beside(self, model: str, growth_bytes: int, freed_bytes: int) -> Plan:
        try:
            return plan_another(self._settings, model, growth_bytes)
        except SetupError as error:
            # may raise the same
            plan_another(self._settings, model, growth_bytes - freed_bytes)
            raise SetupError(
                f"{error.message} It would fit alone: `edge switch {model} --with-gap` "
                "stops the present model first, and questions wait meanwhile."
            ) from None


def _go_on(steps: Steps[None]) -> bool:
    """Does the next step; False after the last. What fails must not end the others."""
    try:
        next(steps)
    except StopIteration:
        return False
    except Exception:
        log.exception("a step of a model failed")
        return False
    return True
