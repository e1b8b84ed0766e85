"""How another model takes the place of the default one, beside it or after it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from typing import Final

from edge.errors import SetupError, Unavailable
from edge.events import Failed
from edge.jobs.switching import State, Switching
from edge.jobs.worker_side import WorkerJobs
from edge.redis_clients import SyncRedis
from edge.up.model_worker import ModelWorker, Steps, in_thread, insist, until
from edge.up.models import fits_now
from edge.up.stand_in import StandIn, expected_info

NOT_LOADED: Final = "The model that was to answer could not be loaded. Ask again."


class ModelSwitch:
    """The steps from `old` to `new`. They raise SetupError when `new` does not load;
    then `old` is the default still, or again, for which `wake` loads it."""

    def __init__(
        self,
        broker: SyncRedis,
        new: ModelWorker,
        old: ModelWorker | None,
        wake: Callable[[ModelWorker], Steps[None]],
    ) -> None:
        self._broker = broker
        self._switching = Switching(broker)
        self._new = new
        self._old = old
        self._wake = wake

    def beside(self) -> Steps[None]:
        """Loads the new model beside the old one, which leaves when it has answered
        what it was asked."""
        yield from self._report("loading", f"It loads, about {self._wait}.")
        yield from self._new.load(self._broker)
        yield from self._activate(self._new)
        yield from self._retire_old()

    def after(self) -> Steps[None]:
        """The old model leaves before the new one loads; questions wait for it."""
        info = yield from in_thread(lambda: expected_info(self._new.plan))
        stand_in = yield from insist(
            lambda: StandIn(self._broker, info, self._new.load_s)
        )
        with closing(stand_in):
            try:
                yield from insist(lambda: self._switching.reopen(info.pool))
                yield from self._activate(self._new, may_load=True)
                yield from self._retire_old()
                news = f"It loads, about {self._wait}. Questions wait."
                yield from self._report("loading", news)
                stand_in.begin_loading()
                found = yield from self._new.load(self._broker)
            except (SetupError, OSError) as error:
                again = yield from self._bring_back_old()
                yield from self._abandon(info.pool)
                if again:
                    raise SetupError(f"{error} {again}") from error
                raise
            if found.pool != info.pool:  # it is not served as it was planned
                yield from self._abandon(info.pool)

    def _bring_back_old(self) -> Steps[str]:
        """Questions wait for the old model from now on, while it loads. Returns why it
        does not load either; it is tried again when somebody asks."""
        old = self._old
        if old is None or old.info is None:
            return ""
        info = old.info
        if not old.is_loaded and not old.stand_in:
            old.stand_in = yield from insist(
                lambda: StandIn(self._broker, info, old.load_s)
            )
        yield from self._activate(old, may_load=True)
        try:
            yield from self._wake(old)
        except SetupError as error:
            return f"{old.name} does not load again: {error.message}"
        return ""

    @property
    def _wait(self) -> str:
        return f"{self._new.load_s:.0f} s"

    def _activate(self, worker: ModelWorker, *, may_load: bool = False) -> Steps[None]:
        """Waits while the worker does not beat."""
        yield from until(
            lambda: self._switching.activate(worker.name, may_load=may_load) != "absent"
        )

    def _retire_old(self) -> Steps[None]:
        old, new = self._old, self._new
        if old is None or old.info is None:
            return
        pool = old.info.pool
        yield from self._report("ending", f"{old.name} ends what it was asked before.")
        if new.info is None or new.info.pool != pool:
            while not (yield from insist(lambda: self._switching.retire(pool))):
                if not old.is_loaded:  # it slept, and was asked since
                    yield from self._answer_asleep(old, pool)
                yield
        yield from old.unload()

    def _answer_asleep(self, old: ModelWorker, pool: str) -> Steps[None]:
        """During a switch nobody else wakes the old model for what waits for it."""
        if fits_now(old.plan, self._new.growth_bytes):
            with suppress(SetupError):
                yield from old.load(self._broker)
                old.close_stand_in()
                return
        yield from insist(lambda: self._end_waiting(pool))

    def _abandon(self, pool: str) -> Steps[None]:
        """Ends what waits in a pool that no worker will serve, until nothing more is on
        its way there: pictures may still be read."""
        while not (yield from insist(lambda: self._switching.retire(pool))):
            yield from insist(lambda: self._end_waiting(pool))
            yield

    def _end_waiting(self, pool: str) -> None:
        """Ends the jobs that wait in a pool that no worker will serve."""
        outcome = Failed.because(Unavailable(NOT_LOADED))
        WorkerJobs(self._broker, pool).end_all_waiting(outcome)

    def _report(self, state: State, message: str) -> Steps[None]:
        return insist(lambda: self._switching.report(self._new.name, state, message))
