"""The preflight check: a question that can never be answered is refused at once.

A question that is about tokens only is answered here, without a slot.

A thread beside the engine's prepares each new question as soon as it is in the queue,
which takes milliseconds: `prepare` bounds it. That also gives its size, from which the
start of later jobs is estimated.
"""

from __future__ import annotations

import logging
import threading
import time

from edge.engine.engine import Engine
from edge.engine.without_slot import answer_without_slot
from edge.errors import Cancelled, EdgeError
from edge.events import Failed, Finished, Terminal
from edge.jobs.worker_side import Unchecked, WorkerJobs
from edge.redis_clients import UNREACHABLE
from edge.request import NO_SLOT
from worker.metrics import Metrics
from worker.prepared import PreparedJobs

log = logging.getLogger(__name__)

LOOK_S = 1.0
DROP_S = 5.0  # how often what was prepared for jobs that have left the queue is dropped


class Preflight:
    """A thread that checks until `close`, and keeps what it `prepared`."""

    def __init__(
        self,
        engine: Engine,
        jobs: WorkerJobs,
        metrics: Metrics,
        prepared: PreparedJobs,
    ) -> None:
        self._engine = engine
        self._jobs = jobs
        self._metrics = metrics
        self._prepared = prepared
        self._dropped = time.monotonic()
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
                if job := self._jobs.unchecked(LOOK_S):
                    self._check(job)
                if time.monotonic() - self._dropped > DROP_S:
                    self._drop_unneeded()
            except UNREACHABLE:  # logged by the heartbeat, which meets the same
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
            if job.request.wants in NO_SLOT:
                answer = answer_without_slot(self._engine, job.request, is_wanted)
                self._end(job, Finished(answer))
                return
            prepared = self._engine.check(job.request, is_wanted)
        except Cancelled:  # it has ended, or a thread has claimed and prepares it
            return
        except EdgeError as refusal:
            self._end(job, Failed.because(refusal))
            return
        self._prepared.put(job.job_id, prepared)
        self._jobs.accept(
            job.job_id, prepared.n_prompt, prepared.n_image, prepared.n_encode
        )

    def _end(self, job: Unchecked, outcome: Terminal) -> None:
        if self._jobs.end_waiting(job.job_id, outcome):
            self._metrics.ended(job.request, outcome)

    def _drop_unneeded(self) -> None:
        """Of jobs that have ended or that another worker has claimed."""
        self._dropped = time.monotonic()
        job_ids = self._prepared.job_ids()
        waiting = self._jobs.waiting_among(job_ids)
        for job_id in job_ids:
            if job_id not in waiting:
                self._prepared.take(job_id)
