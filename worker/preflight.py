"""What can never be answered is refused at once, not when its turn comes.

A thread beside the engine's tokenises each new question as soon as it is in the queue,
which takes milliseconds: `prepare` bounds it. That also tells how large it is, and so
when others may start.
"""

from __future__ import annotations

import logging
import threading
import time

from edge.engine.engine import Engine
from edge.errors import Cancelled, EdgeError
from edge.events import Failed
from edge.jobs.worker_side import Unchecked, WorkerJobs
from edge.redis_clients import UNREACHABLE
from worker.metrics import Metrics

log = logging.getLogger(__name__)

LOOK_S = 1.0


class Preflight:
    """Checks until `close`."""

    def __init__(self, engine: Engine, jobs: WorkerJobs, metrics: Metrics) -> None:
        self._engine = engine
        self._jobs = jobs
        self._metrics = metrics
        self._closed = threading.Event()
        self._thread = threading.Thread(
            target=self._loop, name="preflight", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _loop(self) -> None:
        while not self._closed.is_set():
            try:
                if found := self._jobs.unchecked(LOOK_S):
                    self._check(found)
            except UNREACHABLE:  # told by the heartbeat, which meets the same
                self._closed.wait(LOOK_S)
            except Exception:
                log.exception("a question could not be checked")

    def _check(self, job: Unchecked) -> None:
        looked = time.monotonic()

        def is_wanted() -> bool:
            nonlocal looked
            if time.monotonic() - looked < LOOK_S:
                return True
            looked = time.monotonic()
            return self._jobs.is_waiting(job.job_id)

        try:
            found = self._engine.check(job.request, is_wanted)
        except Cancelled:  # it has ended, or a worker has it and prepares it itself
            return
        except EdgeError as refusal:
            outcome = Failed.because(refusal)
            if self._jobs.refuse(job.job_id, outcome):
                self._metrics.ended(job.request, outcome)
        else:
            self._jobs.accept(job.job_id, found.n_prompt, found.n_image)
