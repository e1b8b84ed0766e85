"""What the web process does to jobs: admit, follow, end early. Asynchronous."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Iterable
from typing import Any

import redis.asyncio

from edge.errors import Cancelled, DeadlineExceeded, EdgeError, QueueFull, WorkerLost
from edge.events import Event, Failed, Queued, Terminal, from_json, to_json
from edge.images import Picture
from edge.jobs import record
from edge.jobs.channel import Follower
from edge.jobs.pictures import put_pictures
from edge.jobs.record import JobRecord
from edge.request import Request


class ClientJobs:
    """Job records as the web process sees them."""

    def __init__(self, broker: redis.asyncio.Redis, channel: Follower) -> None:
        self._broker = broker
        self._channel = channel
        self._admit = broker.register_script(record.ADMIT)
        self._end = broker.register_script(record.END)
        self._look = broker.register_script(record.LOOK)

    async def admit(self, request: Request, *, limit: int, deadline_s: int) -> str:
        """The id of a new waiting job.

        Raises QueueFull when `limit` jobs are already waiting or running.
        """
        job_id = secrets.token_hex(16)
        body = json.dumps(request.to_json())
        admitted = await self._admit(
            keys=record.job_keys(job_id),
            args=[limit, job_id, body, deadline_s, record.KEEP_S],
        )
        if not admitted:
            retry_after_s = 5 + secrets.randbelow(6)  # spread the next wave
            raise QueueFull(
                f"All {limit} places are taken. Try again in {retry_after_s} seconds.",
                retry_after_s=retry_after_s,
            )
        return job_id

    async def keep(
        self, job_id: str, pictures: Iterable[Picture], deadline_s: int
    ) -> None:
        """Keeps the pictures of a job until it ends."""
        await put_pictures(self._broker, job_id, pictures, deadline_s)

    async def follow(self, job_id: str) -> AsyncIterator[Event | None]:
        """The job's events up to its terminal one, and None in quiet seconds.

        In quiet seconds the record is asked too: a job that still waits is told its
        place, and one whose worker is gone ends here.
        """
        async for event in self._channel.follow(job_id, attempt=1):
            if event is not None:
                yield event
                continue
            job = await self.look(job_id)
            if job is None:
                yield Failed.because(WorkerLost("This question was lost. Ask again."))
                return
            if job.outcome:
                yield from_json(job.outcome)
                return
            if job.lease_is_over:
                await self.end(job_id, WorkerLost("The worker died. Ask again."))
            elif job.is_late:
                await self.end(job_id, DeadlineExceeded("No answer came in time."))
            yield await self._place(job_id) if job.state == "waiting" else None

    async def look(self, job_id: str) -> JobRecord | None:
        """What the record says now; None when there is none."""
        found: Any = await self._look(keys=[record.job_key(job_id)])
        if found is None:
            return None
        state, outcome, lease_is_over, is_late = found
        return JobRecord(
            state=state.decode(),
            lease_is_over=bool(lease_is_over),
            is_late=bool(is_late),
            outcome=outcome.decode() if outcome else None,
        )

    async def end(self, job_id: str, reason: EdgeError) -> None:
        """Ends a job without an answer, unless it has ended already.

        Its worker notices at its next renewal and stops computing.
        """
        outcome: Terminal = Failed.because(reason)
        state = record.state_of(outcome)
        await self._end(
            keys=record.job_keys(job_id),
            args=[job_id, "", state, to_json(outcome), record.KEEP_S],
        )

    async def cancel(self, job_id: str) -> None:
        await self.end(job_id, Cancelled("The client did not wait for the answer."))

    async def _place(self, job_id: str) -> Queued | None:
        rank: Any = await self._broker.zrank(record.WAITING, job_id)
        return None if rank is None else Queued(position=rank + 1)
