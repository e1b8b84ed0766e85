"""Admissions whose reply was lost: a broker that stands still runs them later, for a
client that has been refused."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from edge.jobs.client_side import ClientJobs
from edge.jobs.submission import Submission
from edge.redis_clients import AWAY, UNREACHABLE

log = logging.getLogger(__name__)

AGAIN_S = 0.5
MOST = 1000  # of an outage; and all that were charged for, which quotas bound


class LostAdmissions:
    """Withdraws each as soon as the broker answers, until `close`."""

    def __init__(self, jobs: ClientJobs) -> None:
        self._jobs = jobs
        self._lost: deque[tuple[Sequence[str], Submission]] = deque()
        self._task: asyncio.Task[None] | None = None

    def add(self, job_ids: Sequence[str], submission: Submission) -> None:
        if submission.charged is None and len(self._lost) >= MOST:
            return  # its jobs end when nobody has watched them
        self._lost.append((job_ids, submission))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._withdraw())

    def close(self) -> None:
        if self._task:
            self._task.cancel()

    async def _withdraw(self) -> None:
        is_told = False
        while self._lost:
            try:
                await self._jobs.withdraw(*self._lost[0])
            except AWAY as error:
                if not is_told:
                    log.warning("admissions are not withdrawn yet: %s", error)
                is_told = True
                await asyncio.sleep(AGAIN_S)
                continue
            except UNREACHABLE as error:  # would be refused again, before the others
                log.warning("an admission cannot be withdrawn: %s", error)
            self._lost.popleft()
