"""The open event streams of this process, and their end when it stops."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from edge.errors import ClientLimit, ShuttingDown, Unavailable
from edge.events import Failed, Terminal
from edge.jobs.client_side import ClientJobs
from edge.redis_clients import UNREACHABLE
from ui.event_streams import Events

log = logging.getLogger(__name__)

MOST_FOLLOWERS = 8  # of one job: tabs, and streams whose end nobody has noticed yet
# For the last event of each stream when this process stops: a quiet one looks once a
# second. AFTER_GRACE_S in edge/up/parts.py is longer than this and LEAVE_S.
LAST_WORDS_S = 3


class Subscriptions:
    """The open streams over `jobs`, which `drain` waits for."""

    def __init__(self, jobs: ClientJobs) -> None:
        self._jobs = jobs
        self._n_open = 0
        self._n_of_job: Counter[str] = Counter()
        self._is_over = False
        self.is_closing = False

    async def follow(self, job_id: str, *, watch: bool = True) -> Events:
        """A job's events as they come, None in quiet seconds. They end with an error
        when the broker is lost, this process stops, or MOST_FOLLOWERS follow the job
        already: each has a connection to the broker. `watch`: a client waits."""
        with self.counted(), self._following(job_id) as n_others:
            if n_others >= MOST_FOLLOWERS:
                yield Failed.because(
                    ClientLimit(
                        f"{n_others} streams follow this job, the most that there may "
                        "be. Close some."
                    )
                )
                return
            try:
                async for event in self._jobs.follow(job_id, watch=watch):
                    if self._is_over and not isinstance(event, Terminal):
                        yield Failed.because(ShuttingDown("The server was stopped."))
                        return
                    yield event
            except UNREACHABLE as error:
                yield Failed.because(broker_away(error))

    @contextmanager
    def _following(self, job_id: str) -> Iterator[int]:
        """How many others follow the job."""
        self._n_of_job[job_id] += 1
        try:
            yield self._n_of_job[job_id] - 1
        finally:
            self._n_of_job[job_id] -= 1
            if not self._n_of_job[job_id]:
                del self._n_of_job[job_id]

    @contextmanager
    def counted(self) -> Iterator[None]:
        """`drain` waits for the block."""
        self._n_open += 1
        try:
            yield
        finally:
            self._n_open -= 1

    async def drain(self, grace_s: float) -> None:
        """Returns when all streams have ended; those that are open after the grace end
        with an error. New questions are refused from now on."""
        self.is_closing = True
        await self._end_within(grace_s)
        if self._n_open:
            self._is_over = True
            await self._end_within(LAST_WORDS_S)

    async def _end_within(self, seconds: float) -> None:
        give_up, n_quiet = time.monotonic() + seconds, 0
        while n_quiet < 2 and time.monotonic() < give_up:
            await asyncio.sleep(0.05)
            # twice: a question is admitted a moment before its job is followed
            n_quiet = 0 if self._n_open else n_quiet + 1


def broker_away(error: Exception) -> Unavailable:
    """Logs that the broker is unreachable, and makes the error for the client."""
    log.error("the broker is not reachable: %s", error)
    return Unavailable("The queue cannot be reached. Try again soon.")
