"""From job to engine and back: what one worker thread does for one job."""

from __future__ import annotations

import logging
import time

from edge.engine.engine import Engine
from edge.engine.ticket import Ticket
from edge.errors import Cancelled, DeadlineExceeded, EdgeError, EngineError
from edge.events import Failed, Finished, Terminal
from edge.jobs.channel import Publisher
from edge.jobs.worker_side import Claim, WorkerJobs
from worker.metrics import Metrics

log = logging.getLogger(__name__)

RENEW_S = 0.5  # also how soon a cancelled job is noticed; well inside the lease


class Relay:
    """Runs jobs on `engine`; one `answer` for each free thread."""

    def __init__(
        self, engine: Engine, jobs: WorkerJobs, channel: Publisher, metrics: Metrics
    ) -> None:
        self._engine = engine
        self._jobs = jobs
        self._channel = channel
        self._metrics = metrics

    def answer(self, job_id: str) -> None:
        """Takes the job to its terminal event, unless it is no longer ours."""
        claim = self._jobs.claim(job_id)
        if claim is None:  # cancelled while it waited, or delivered twice
            return
        try:
            outcome = self._run(claim)
        except EdgeError as refusal:
            outcome = Failed.because(refusal)
        except Exception:
            log.exception("job %s broke", job_id)
            outcome = Failed.because(EngineError("Computing this answer failed."))
        self._metrics.ended(claim.request, outcome)
        self._jobs.end(claim, outcome)

    def _run(self, claim: Claim) -> Terminal:
        if claim.seconds_left <= 0:
            raise DeadlineExceeded("This question waited longer than its deadline.")
        pictures = self._jobs.pictures(claim)
        ticket = self._engine.submit(claim.request, pictures)
        try:
            return self._follow(claim, ticket)
        except BaseException:  # nobody listens any more: the slot must not go on
            ticket.cancel(Cancelled("The worker gave this answer up."))
            raise

    def _follow(self, claim: Claim, ticket: Ticket) -> Terminal:
        deadline = time.monotonic() + claim.seconds_left
        renewal = time.monotonic() + RENEW_S
        while True:
            event = ticket.next(timeout_s=RENEW_S)
            if isinstance(event, Finished | Failed):
                return event
            if event is not None:
                self._channel.publish(claim.job_id, claim.attempt, event)
            now = time.monotonic()
            if now >= deadline:
                ticket.cancel(DeadlineExceeded("The answer was not ready in time."))
            elif now >= renewal:
                renewal = now + RENEW_S
                if not self._jobs.renew(claim):
                    ticket.cancel(Cancelled("The job was ended by its client."))
