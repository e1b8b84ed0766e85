"""From job to engine and back: what one worker thread does for one job."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from edge.engine.batch import Batch
from edge.engine.engine import Engine
from edge.engine.ticket import Ticket
from edge.engine.without_slot import answer_without_slot
from edge.errors import (
    Cancelled,
    DeadlineExceeded,
    EdgeError,
    EngineError,
    ShuttingDown,
)
from edge.events import Event, Failed, Finished, Terminal, Token
from edge.jobs.channel import Publisher
from edge.jobs.estimate import Size
from edge.jobs.worker_side import Claim, WorkerJobs
from edge.redis_clients import AWAY, UNREACHABLE
from edge.request import NO_SLOT
from worker.claiming import Claiming
from worker.metrics import Metrics
from worker.prepared import PreparedJobs
from worker.renewal import Renewal

log = logging.getLogger(__name__)

T = TypeVar("T")

RENEW_S = 0.5  # also how soon a cancelled job is noticed; well inside the lease
# Text of this time is sent together: each time costs 2 ms of the cores that compute it.
# The first text is sent at once, and so is the end.
JOIN_S = 0.1
RETRY_S = 0.3  # while the broker is away
LATE = "The answer was not ready in time."
STOPPED = Failed.because(ShuttingDown("The server was stopped. Ask again."))


class Relay:
    """Runs jobs on `engine`; one `answer` for each free thread."""

    def __init__(
        self,
        engine: Engine,
        jobs: WorkerJobs,
        channel: Publisher,
        claiming: Claiming,
        metrics: Metrics,
        prepared: PreparedJobs,
    ) -> None:
        self._engine = engine
        self._jobs = jobs
        self._channel = channel
        self._claiming = claiming
        self._metrics = metrics
        self._prepared = prepared
        self._stop_at = float("inf")

    def answer(self) -> None:
        """Claims the next job, if one waits, and answers it to its terminal event."""
        try:
            claim = self._claiming.claim()
        except UNREACHABLE as error:  # the reconciler sends a new message
            log.warning("no job can be claimed: %s", error)
            return
        if claim is None:  # cancelled while it waited, or a surplus message
            return
        try:
            self._answer(claim)
        except UNREACHABLE as error:
            log.error("a job was abandoned, the broker is away: %s", error)
        finally:
            self._claiming.done()

    def drain(self, grace_s: float) -> None:
        """Claims no more jobs; those that still run after `grace_s` are released."""
        self._stop_at = time.monotonic() + grace_s
        self._claiming.close()

    def _answer(self, claim: Claim) -> None:
        began = time.monotonic()
        deadline = began + claim.seconds_left
        prepared = self._prepared.take(claim.job_id)
        outcome: Terminal
        try:
            if claim.request.wants in NO_SLOT:  # claimed before the preflight check
                with self._preparing(claim, deadline) as is_wanted:
                    answer = answer_without_slot(self._engine, claim.request, is_wanted)
                outcome = Finished(answer)
            else:
                pictures = self._retry(deadline, lambda: self._jobs.pictures(claim))
                with self._preparing(claim, deadline) as is_wanted:
                    prepared = prepared or self._engine.check(claim.request, is_wanted)
                    ticket = self._engine.submit(
                        claim.request, pictures, is_wanted, prepared
                    )
                    del pictures  # the engine drops each when it has been encoded
                outcome = self._follow(claim, ticket, deadline)
        except EdgeError as refusal:
            outcome = Failed.because(refusal)
        except Exception as error:
            if isinstance(error, AWAY):
                raise
            log.exception("job %s failed", claim.job_id)
            outcome = Failed.because(EngineError("Computing this answer failed."))
        if outcome == STOPPED:
            self._retry(deadline, lambda: self._jobs.release(claim, STOPPED))
            return
        is_ours = self._retry(deadline, lambda: self._jobs.end(claim, outcome))
        is_cancelled = isinstance(outcome, Failed) and outcome.code == Cancelled.code
        # Else the preflight check was first, and counted it.
        if is_ours or is_cancelled:
            self._metrics.ended(claim.request, outcome)
        if isinstance(outcome, Finished) and prepared:
            n_answer = claim.request.answer_tokens
            size = Size(prepared.n_prompt, prepared.n_encode, n_answer)
            self._jobs.learn(size, outcome.answer, time.monotonic() - began)

    @contextmanager
    def _preparing(self, claim: Claim, deadline: float) -> Iterator[Callable[[], bool]]:
        """Keeps the lease while the engine prepares a question. Gives it what it asks
        meanwhile: whether a client waits for the answer; that raises the error that
        ends the job."""
        with Renewal(lambda: self._jobs.renew(claim), RENEW_S) as renewal:

            def is_wanted() -> bool:
                now = time.monotonic()
                if now >= deadline:
                    raise DeadlineExceeded(LATE)
                if now >= self._stop_at:
                    raise STOPPED.error
                return renewal.is_wanted

            yield is_wanted

    def _follow(
        self, claim: Claim, ticket: Ticket | Batch, deadline: float
    ) -> Terminal:
        try:
            return self._relay(claim, ticket, deadline)
        except BaseException:  # the answer has no reader: the slot must not go on
            ticket.cancel(Cancelled("The worker abandoned this answer."))
            raise

    def _relay(self, claim: Claim, ticket: Ticket | Batch, deadline: float) -> Terminal:
        renewal = time.monotonic() + RENEW_S
        number, send_at = 1, 0.0
        while True:
            news, end = _news(ticket, send_at)
            if news:
                publish = partial(
                    self._channel.publish, claim.job_id, claim.attempt, number, news
                )
                if not self._retry(deadline, publish):
                    ticket.cancel(Cancelled("Another worker has this job now."))
                number += len(news)
                if isinstance(news[-1], Token):
                    send_at = time.monotonic() + JOIN_S
            if end:
                return end
            now = time.monotonic()
            if now >= deadline:
                ticket.cancel(DeadlineExceeded(LATE))
            elif now >= self._stop_at:
                ticket.cancel(STOPPED.error)
            elif now >= renewal:
                renewal = now + RENEW_S
                if not self._retry(deadline, lambda: self._jobs.renew(claim)):
                    ticket.cancel(
                        Cancelled("No client waits for this answer any more.")
                    )

    def _retry(self, deadline: float, action: Callable[[], T]) -> T:
        """The result of `action`, repeated while the broker is away: the engine goes
        on, its events wait in the ticket. Raises one of AWAY past the deadline."""
        while True:
            try:
                return action()
            except AWAY:
                if time.monotonic() > min(deadline, self._stop_at):
                    raise
                time.sleep(RETRY_S)


def _news(
    ticket: Ticket | Batch, send_at: float
) -> tuple[list[Event], Terminal | None]:
    """The events until `send_at`, after at most RENEW_S for the first, and the terminal
    one."""
    news: list[Event] = []
    event = ticket.next(RENEW_S)
    while event is not None:
        if isinstance(event, Terminal):
            return news, event
        news.append(event)
        event = ticket.next(max(0.0, send_at - time.monotonic()))
    return news, None
