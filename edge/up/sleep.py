"""Models that nobody asks leave memory, and come back at the next question.

Meanwhile a stand-in beats for them in the fleet, and questions wait in their queue.
Models that are asked and do not fit into memory together take turns.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Final

from edge import host
from edge.errors import SetupError, Unavailable
from edge.events import Failed
from edge.jobs.fleet import WorkerInfo, known
from edge.jobs.switching import Switching
from edge.jobs.worker_side import WorkerJobs
from edge.redis_clients import UNREACHABLE, SyncRedis
from edge.up.model_worker import ModelWorker, Steps, insist, until
from edge.up.stand_in import StandIn, expected_info

TURN_S: Final = 60.0  # that a busy model stays in memory while another waits for room
# An idle moment, in which a program sends its next question: else two programs would
# swap their models after each answer. A model that loads sooner leaves sooner.
MOMENT_S: Final = 5.0
# To load, before waiting questions end: the first may fail for want of memory.
MOST_TRIES: Final = 2
CANNOT_LOAD: Final = (
    "This model cannot be loaded now; its operator sees why where `edge up` runs. Ask "
    "again later."
)


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
        steps = []
        for worker in self._workers:
            self._notice(worker)
            if worker.is_busy:
                continue
            if not worker.is_loaded:
                if worker.n_live and worker.may_try:
                    steps.append(self._load_for_questions(worker))
            elif self._idle_s and worker.idle_s >= self._idle_s:
                why = f"nobody asked for {self._idle_s:.0f} s"
                steps.append(self._fall_asleep(worker, why))
        return steps

    def wake(
        self, worker: ModelWorker, is_wanted: Callable[[], bool] = lambda: True
    ) -> Steps[None]:
        """Loads a model when there is room for it, unless it is no longer wanted by
        then. Raises SetupError when it does not load."""
        with worker.busy():
            try:
                yield from self.make_room(worker, is_wanted=is_wanted)
                if is_wanted():
                    if worker.stand_in:
                        worker.stand_in.begin_loading()
                    yield from worker.load(self._broker)
                    worker.close_stand_in()
            finally:
                if worker.stand_in:
                    worker.stand_in.rest()

    def has_room(self, worker: ModelWorker) -> bool:
        """Whether the model fits beside those that are loaded, and what they may still
        take. Alone it always does: then it is loaded or fails with the reason."""
        others = self._others(worker)
        growth_bytes = sum(w.growth_bytes for w in others)
        free_bytes = host.available_memory_bytes() - growth_bytes
        return not others or worker.plan.need.total_bytes <= free_bytes

    def make_room(
        self,
        worker: ModelWorker,
        turn_s: float = TURN_S,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> Steps[None]:
        """Lets others fall asleep until the model fits: those that have had nothing to
        do for a moment, and after `turn_s` those that are busy. Ends too when it is not
        wanted."""
        began = time.monotonic()
        while is_wanted() and not self.has_room(worker):
            waited_s = time.monotonic() - began
            others = [w for w in self._others(worker) if not w.is_busy]
            passed_s = {w: min(waited_s, w.loaded_s) for w in others}
            if worker.stand_in:
                left_s = turn_s - max(passed_s.values(), default=0.0)
                worker.stand_in.wait_for_room(max(left_s, 0.0))
            quiet = [w for w in others if w.n_live == 0]
            idle = [w for w in quiet if w.idle_s >= min(MOMENT_S, w.load_s)]
            late = [w for w in others if passed_s[w] >= turn_s]
            if leaving := idle or late:
                longest = max(leaving, key=lambda w: w.idle_s if idle else w.loaded_s)
                yield from self._fall_asleep(longest, f"{worker.name} needs the room")
            yield

    def _load_for_questions(self, worker: ModelWorker) -> Steps[None]:
        """Loads a model for the questions that wait for it, and ends them if that has
        failed MOST_TRIES times."""
        if worker.is_busy:  # a switch was first
            return
        try:
            yield from self.wake(worker, is_wanted=lambda: worker.n_live > 0)
        except SetupError as error:
            self._say(worker.name, error.message)
            if worker.n_failures >= MOST_TRIES and worker.info:
                if worker.stand_in:
                    worker.stand_in.fail()
                jobs = WorkerJobs(self._broker, worker.info.pool)
                outcome = Failed.because(Unavailable(CANNOT_LOAD))
                yield from insist(lambda: jobs.end_all_waiting(outcome))

    def _fall_asleep(self, worker: ModelWorker, why: str) -> Steps[None]:
        """The model leaves memory when the answers that it computes have ended; other
        questions wait in its queue until it returns. Where another machine serves it
        too, that one goes on with the queue, and the answers have the grace to end."""
        info = worker.info
        if worker.is_busy or not worker.is_loaded or info is None:
            return
        with worker.busy():
            self._say(worker.name, f"sleeps, {why}")
            worker.stand_in = yield from insist(
                lambda: StandIn(self._broker, info, worker.load_s)
            )
            try:
                yield from until(
                    lambda: self._is_elsewhere(info) or self._switching.pause(info.pool)
                )
                yield from worker.unload()
            finally:
                with suppress(*UNREACHABLE):  # then it lapses, or the next load ends it
                    self._switching.resume(info.pool)

    def _is_elsewhere(self, info: WorkerInfo) -> bool:
        """Whether another machine answers for the same pool, which a pause would stop
        too."""
        live, _ = known(self._broker)
        return any(
            one.pool == info.pool
            and one.loading_s is None
            and one.name.rpartition("-")[0] != socket.gethostname()
            for one in live
        )

    def _others(self, worker: ModelWorker) -> list[ModelWorker]:
        return [w for w in self._workers if w.is_loaded and w is not worker]

    def _notice(self, worker: ModelWorker) -> None:
        """Looks how many unfinished jobs the worker has."""
        if worker.info:
            pool = worker.info.pool
            worker.notice(self._switching.n_live(pool), self._switching.mark(pool))
