"""Admissions whose reply was lost: a broker that stands still runs them later, for a
client that has been refused."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from edge.jobs.client_side import ClientJobs
from edge.jobs.submission import Submission
from edge.redis_clients import UNREACHABLE

log = logging.getLogger(__name__)

AGAIN_S = 0.5
MOST = 1000  # of an outage; jobs of earlier ones end when nobody has watched them


class LostAdmissions:
    """Withdraws each as soon as the broker answers, until `close`."""

    def __init__(self, jobs: ClientJobs) -> None:
        self._jobs = jobs
        self._lost: deque[tuple[Sequence[str], Submission]] = deque(maxlen=MOST)
        self._task: asyncio.Task[None] | None = None

    def add(self, job_ids: Sequence[str], submission: Submission) -> None:
        self._lost.append((job_ids, submission))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._withdraw())

    def close(self) -> None:
        if self._task:
            self._task.cancel()

    async def _withdraw(self) -> None:
        while self._lost:
            one = self._lost[0]
            try:
                await self._jobs.withdraw(*one)
            except UNREACHABLE as error:
                log.warning("an admission is not withdrawn yet: %s", error)
                await asyncio.sleep(AGAIN_S)
            else:
                self._lost.remove(one)
