"""Which jobs run at the same time in this worker: any, but a suspect runs alone.

A suspect is a job that ran when a worker died. If it was the cause, it must not end
other jobs with it again.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time

from edge.jobs.worker_side import LATER, Claim, WorkerJobs
from edge.redis_clients import AWAY

log = logging.getLogger(__name__)

# Until a cancelled suspect no longer delays other jobs, or the broker is asked again.
LOOK_S = 0.2


class Claiming:
    """Claims jobs for the threads of one worker, until `close`."""

    def __init__(self, jobs: WorkerJobs) -> None:
        self._jobs = jobs
        self._changed = threading.Condition()
        self._n_running = 0
        self._is_alone = False
        self._is_closed = False
        self.asked_at = time.monotonic()  # when a thread last asked for a job

    def claim(self) -> Claim | None:
        """The next job, as soon as it may run; None when none waits, or after `close`.

        While the broker is away it asks again: a job that was given to it, but whose
        name did not arrive, would count as lost with its worker. Raises one of
        UNREACHABLE when the broker refuses.
        """
        self.asked_at = time.monotonic()
        name, is_away = secrets.token_hex(8), False
        with self._changed:
            while not self._is_closed:
                if not self._is_alone:
                    try:
                        claim = self._jobs.claim(
                            may_be_suspect=self._n_running == 0, name=name
                        )
                    except AWAY as error:
                        if not is_away:
                            log.warning("no job can be claimed: %s", error)
                        claim, is_away = LATER, True
                    if claim is None:
                        return None
                    if claim != LATER:
                        self._n_running += 1
                        self._is_alone = claim.is_suspect
                        return claim
                self._changed.wait(LOOK_S)
                self.asked_at = time.monotonic()
            return None

    def done(self) -> None:
        with self._changed:
            self._n_running -= 1
            self._is_alone = False
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    @property
    def n_running(self) -> int:
        return self._n_running
