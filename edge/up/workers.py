"""The workers of `edge up`, one for each model, and who takes the place of whom."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from edge.errors import SetupError
from edge.jobs.switching import State, Switching, Wish
from edge.redis_clients import UNREACHABLE, sync_client
from edge.serving.plan import Plan
from edge.settings import Settings
from edge.up.model_worker import ModelWorker, Steps, insist, until
from edge.up.models import fits_now, plan_another, settings_of
from edge.up.parts import worker
from edge.up.sleep import TURN_S, Sleep
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
        # Of all that were served, by name: one may have been given as two paths.
        self._given: dict[str, Settings] = {}
        self._sleep = Sleep(
            self._broker, self._workers.values(), settings.idle_unload_s, stack.say
        )
        self._steps: list[Steps[None]] = []

    def start(self, plans: Sequence[Plan], *, has_own_broker: bool) -> None:
        """Loads all models, the default one first; those that do not fit beside the
        others begin asleep. In a broker of others the default is theirs, if it is
        served. Raises SetupError when one cannot be loaded."""
        if self._stack.is_stopping:
            return
        default = plans[0].files.name
        if has_own_broker:
            self._switching.begin_with(default)
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
        if not has_own_broker:
            self._switching.join_with(default)

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
        self._given[plan.files.name] = plan.settings
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
            for _ in self._switch_to(wish):
                with suppress(*UNREACHABLE):
                    self._switching.renew()
                yield
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
        while any(one.is_busy for one in (old, known) if one):
            yield
        try:
            if known:
                news = yield from self._to_served(wish, known)
            else:
                news = yield from self._to_another(wish, old)
        except SetupError as error:
            serves_on = "" if old and old.n_failures else f" {default} serves on."
            yield from self._report(wish, "failed", f"{error.message}{serves_on}")
        else:
            yield from self._report(wish, "done", news)

    def _to_served(self, wish: Wish, known: ModelWorker) -> Steps[str]:
        """It may sleep. Raises SetupError when it does not load."""
        if not known.is_loaded:
            with known.busy():
                if not self._sleep.has_room(known):
                    news = "It waits until another model has left memory."
                    yield from self._report(wish, "loading", news)
                    turn_s = 0.0 if wish.with_gap else TURN_S
                    yield from self._sleep.make_room(known, turn_s)
                news = f"It loads, about {known.load_s:.0f} s."
                yield from self._report(wish, "loading", news)
                yield from self._sleep.wake(known)
        yield from until(lambda: self._switching.activate(known.name) != "absent")
        return f"{known.name} is the default model now."

    def _to_another(self, wish: Wish, old: ModelWorker | None) -> Steps[str]:
        """Raises SetupError when it does not load."""
        new = self._planned(wish, old)
        switch = ModelSwitch(self._broker, new, old, self._sleep.wake)
        with old.busy() if old else nullcontext():
            yield from switch.after() if wish.with_gap else switch.beside()
        self._workers[new.name] = new
        if old is None:
            return f"{new.name} is the default model now."
        if old.name != new.name:
            del self._workers[old.name]
        old.close_stand_in()
        return f"{new.name} is the default model now. {old.name} has left."

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
        given = self._given.get(wish.model)
        one = given or settings_of(self._settings, wish.model)
        if wish.with_gap:
            plan = plan_another(one, growth_bytes - freed_bytes)
        else:
            plan = self._plan_beside(wish.model, one, growth_bytes, freed_bytes)
        nth = old.nth if old else 0  # it takes its place
        new = self._worker(plan, f"worker-{plan.files.name}", nth)
        if old:  # the larger file takes longer
            ratio = plan.need.weights_bytes / max(old.plan.need.weights_bytes, 1)
            new.load_s = old.load_s * max(ratio, 1.0)
        return new

    def _plan_beside(
        self, model: str, one: Settings, growth_bytes: int, freed_bytes: int
    ) -> Plan:
        try:
            return plan_another(one, growth_bytes)
        except SetupError as error:
            plan_another(one, growth_bytes - freed_bytes)  # may raise the same
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
