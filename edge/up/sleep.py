"""Models that nobody asks leave memory, and come back at the next question.

Meanwhile a stand-in beats for them in the fleet, and questions wait in their queue.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Final

from edge import host
from edge.errors import SetupError
from edge.jobs.switching import Switching
from edge.redis_clients import SyncRedis
from edge.up.model_worker import ModelWorker, Steps, insist
from edge.up.stand_in import StandIn, expected_info

RETRY_S: Final = 10.0  # after a model did not load


class Sleep:
    """Decides for `workers` when each sleeps and wakes. `idle_s`: EDGE_IDLE_UNLOAD_S,
    0: they never sleep by themselves. `say` tells the operator."""

    def __init__(
        self,
        broker: SyncRedis,
        workers: Collection[ModelWorker],
        idle_s: float,
        say: Callable[[str, str], None],
    ) -> None:
        self._broker = broker
        self._switching = Switching(broker)
        self._workers = workers
        self._idle_s = idle_s
        self._say = say

    def lay_down(self, worker: ModelWorker) -> None:
        """A model that was never loaded begins asleep."""
        info = worker.info = expected_info(worker.plan)
        worker.stand_in = StandIn(self._broker, info, worker.load_s)

    def look(self) -> list[Steps[None]]:
        """What is to be done now. Raises one of UNREACHABLE."""
        if not self._idle_s:
            return []
        steps = []
        for worker in self._workers:
            n_live = self._notice(worker)
            if worker.is_busy:
                continue
            if not worker.is_loaded and n_live:
                steps.append(self.wake(worker))
            elif worker.is_loaded and worker.idle_s >= self._idle_s:
                steps.append(self._fall_asleep(worker))
        return steps

    def wake(self, worker: ModelWorker) -> Steps[None]:
        """Loads a model, and tries again when that failed, until a switch has put
        another one in its place."""
        with worker.busy():
            while not worker.is_loaded and worker in self._workers:
                yield from self._make_room(worker)
                if worker.stand_in:
                    worker.stand_in.begin_loading()
                try:
                    yield from worker.load(self._broker)
                except SetupError as error:
                    self._say(worker.name, error.message)
                    worker.has_failed = True
                    yield from _pause(RETRY_S)
                worker.has_failed = False
            worker.close_stand_in()

    def _fall_asleep(self, worker: ModelWorker) -> Steps[None]:
        info = worker.info
        assert info
        with worker.busy():
            self._say(worker.name, f"sleeps, nobody asked for {self._idle_s:.0f} s")
            worker.stand_in = yield from insist(
                lambda: StandIn(self._broker, info, worker.load_s)
            )
            yield from worker.unload()

    def _make_room(self, worker: ModelWorker) -> Steps[None]:
        """Lets others sleep that have nothing to do, until the model fits."""
        while others := [w for w in self._workers if w.is_loaded and w is not worker]:
            growth_bytes = sum(w.growth_bytes for w in others)
            free_bytes = host.available_memory_bytes() - growth_bytes
            if worker.plan.need.total_bytes <= free_bytes:
                return
            idle = [w for w in others if not w.is_busy and w.n_live == 0]
            if idle:
                yield from self._fall_asleep(max(idle, key=lambda w: w.idle_s))
            yield

    def _notice(self, worker: ModelWorker) -> int:
        """How many unfinished jobs the worker has."""
        if worker.info is None:
            return 0
        pool = worker.info.pool
        n_live, mark = self._switching.n_live(pool), self._switching.mark(pool)
        worker.notice(n_live, mark)
        return n_live


def _pause(seconds: float) -> Steps[None]:
    over_at = time.monotonic() + seconds
    while time.monotonic() < over_at:
        yield
