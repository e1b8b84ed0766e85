"""The watchdog: ends the worker process when it can no longer be of use.

A worker that hangs in native code, or whose consumer no longer hears the queue, cannot
be repaired from inside. It ends, its jobs are tried again, and its supervisor restarts
it.
"""

from __future__ import annotations

import logging
import os
import time
from typing import NoReturn

from edge.engine.engine import Engine
from edge.jobs.worker_side import WorkerJobs
from worker.claiming import Claiming

log = logging.getLogger(__name__)

SILENT_S = 2.0  # an engine step that takes longer is doubtful: no new questions here
# What an encoder that cannot pause may take for a picture; where steps wait for its
# stages, they tell sooner.
PICTURE_S = 300.0
STALL_S = 10.0  # a message that lies so long beside a free slot is not heard at all
EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h


class Watchdog:
    """Ends the process when the engine makes no step for `hang_s`, or for ten times its
    longest one, or the encoder hangs at a picture."""

    def __init__(
        self,
        engine: Engine,
        jobs: WorkerJobs,
        claiming: Claiming,
        n_slots: int,
        hang_s: float,
    ) -> None:
        self._engine = engine
        self._jobs = jobs
        self._claiming = claiming
        self._n_slots = n_slots
        self._hang_s = hang_s
        self._unheard_since: float | None = None
        self._held_since: float | None = None

    @property
    def is_doubtful(self) -> bool:
        """Whether a new question might not be answered here."""
        if self._held_s > SILENT_S:
            return True
        return self._engine.watch.silent_s > max(
            SILENT_S, 3 * self._engine.watch.longest_s
        )

    def check_engine(self) -> None:
        if not self._engine.is_alive:
            _end("the engine is dead")
        silent_s = self._engine.watch.silent_s
        if silent_s > max(self._hang_s, 10 * self._engine.watch.longest_s):
            _end(f"the engine has made no step for {silent_s:.0f} s")
        encoder = self._engine.encoder.watch
        if encoder.silent_s > max(self._hang_s, PICTURE_S, 10 * encoder.longest_s):
            _end(f"the encoder has been at one picture for {encoder.silent_s:.0f} s")

    def check_threads(self) -> None:
        if self._claiming.n_running < self._n_slots or self._engine.n_open:
            self._held_since = None
        elif self._held_since is None:
            self._held_since = time.monotonic()
        if self._held_s > self._hang_s:
            _end("all threads hold jobs, and none has reached the engine")

    def check_queue(self) -> None:
        """Consumers have been observed to hear nothing after Redis had been away."""
        now = time.monotonic()
        is_free = self._claiming.n_running < self._n_slots
        if not is_free or not self._jobs.n_called():
            self._unheard_since = None
        elif (
            self._unheard_since is None or self._claiming.asked_at > self._unheard_since
        ):
            self._unheard_since = now
        elif now - self._unheard_since > STALL_S:
            _end("jobs wait beside a free slot, and the consumer does not hear them")

    def start_over(self) -> None:
        """While the broker is away, held threads and unheard messages prove nothing."""
        self._unheard_since = self._held_since = None

    @property
    def _held_s(self) -> float:
        """How long all threads have held jobs of which the engine has none."""
        return time.monotonic() - self._held_since if self._held_since else 0.0


def _end(reason: str) -> NoReturn:
    log.critical("this worker ends: %s", reason)
    os._exit(EXIT_CODE)
