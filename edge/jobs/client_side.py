"""What the web process does to jobs: admit, follow, end early. Asynchronous."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

import redis.asyncio

from edge.caller import ANONYMOUS
from edge.errors import (
    Cancelled,
    ClientLimit,
    EdgeError,
    KeyReused,
    QueueFull,
    RequestQuarantined,
    WorkerLost,
)
from edge.events import Event, Failed, Queued, Retried, Terminal, from_json, to_json
from edge.images import Picture
from edge.jobs import record
from edge.jobs.channel import PATIENCE_S, QUIET_MS, Follower
from edge.jobs.estimate import Pace, Size, starts
from edge.jobs.fleet import Fleet
from edge.jobs.pictures import put_pictures
from edge.jobs.record import JobRecord
from edge.jobs.scripts import QUARANTINED, Scripts
from edge.jobs.submission import Admitted, Bounds, Submission
from edge.redis_clients import AWAY
from edge.request import Request

MOST_KEPT = 2  # jobs that outlive their connections, from one address without a key
MOST_PAUSE_S = 60  # OpenAI's clients ignore a Retry-After of over 120


class ClientJobs:
    """Job records as the web process sees them."""

    def __init__(self, broker: redis.asyncio.Redis, channel: Follower) -> None:
        self._broker = broker
        self._channel = channel
        self._scripts = Scripts(broker)
        self._fleet = Fleet(broker)

    async def admit(
        self, submission: Submission, pool: str, model: str, bounds: Bounds
    ) -> Admitted:
        """A place for a new job.

        Raises QueueFull, or ClientLimit, when there is none; KeyReused when its name
        was given to another question.
        """
        key = submission.idempotency_key
        most_kept = MOST_KEPT if submission.caller.tenant == ANONYMOUS else ""
        word, found, *created = await self._scripts(
            "admit",
            *(secrets.token_hex(16), pool, json.dumps(submission.record(model))),
            *(bounds.n_jobs, bounds.n_of_account, bounds.n_of_address, most_kept),
            *(bounds.deadline_s, f"{submission.caller.name}:{key}" if key else ""),
        )
        match word:
            case b"admitted" | b"joined":
                is_new = word == b"admitted"
                return Admitted(found.decode(), float(created[0]), is_new)
            case b"reused":
                raise KeyReused(
                    "This Idempotency-Key was used for another question. Use a new one."
                )
        seconds = pause_s(found, bounds.n_slots, await self._pace(pool))
        again = f"Try again in {seconds} seconds."
        match word:
            case b"queue_full":
                what = f"All {bounds.n_jobs} places are taken."
                raise QueueFull(f"{what} {again}", retry_after_s=seconds)
            case b"account_limit":
                what = f"You have {bounds.n_of_account} unfinished questions, the most "
                what += "that one client may have."
            case b"address_limit":
                what = (
                    f"There are {bounds.n_of_address} unfinished questions from your "
                )
                what += "address, the most that one address may have."
            case _:
                what = f"There are {MOST_KEPT} unfinished questions with an "
                what += (
                    "Idempotency-Key from your address, the most without an API key."
                )
        raise ClientLimit(f"{what} {again}", retry_after_s=seconds)

    async def enqueue(
        self,
        job_id: str,
        request: Request,
        content: str,
        pictures: Iterable[Picture],
        pool: str,
        bounds: Bounds,
        *,
        shares: str = "",
    ) -> None:
        """Puts an admitted job into the queue; `content` names what is asked, by
        whomever. The answer to another job that `shares` under the same name may end
        it while it waits.

        Raises RequestQuarantined when workers have died of this content.
        """
        await put_pictures(self._broker, job_id, pictures, bounds.deadline_s)
        spacing_s = (await self._pace(pool)).job_s / max(bounds.n_slots, 1)
        schema = request.sampling.json_schema
        word = await self._scripts(
            "enqueue",
            *(job_id, json.dumps(request.to_json()), content),
            hashlib.sha256(schema.encode()).hexdigest() if schema else "",
            *(shares, spacing_s, request.sampling.max_tokens),
        )
        if word == b"quarantined":
            raise RequestQuarantined(QUARANTINED)

    async def follow(self, job_id: str) -> AsyncIterator[Event | None]:
        """The job's events up to its terminal one, and None in quiet seconds.

        Each second the record is told that somebody waits, and asked too: a job that
        still waits is told its place, and one that is lost ends here. Raises one of
        AWAY when neither the events nor the record can be had for PATIENCE_S: a broker
        whose disk is full can be read, and nothing comes.
        """
        attempt, looked = 1, time.monotonic()
        refused_since: float | None = None
        while True:
            async for event in self._channel.follow(job_id, attempt):
                if event is not None:
                    refused_since = None
                    yield event
                    if isinstance(event, Terminal):
                        return
                    if isinstance(event, Retried):
                        break
                if event is None or time.monotonic() - looked > QUIET_MS / 1000:
                    looked, news = time.monotonic(), None
                    try:
                        news = await self._news(job_id)
                        refused_since = None
                    except AWAY:
                        refused_since = refused_since or looked
                        if looked - refused_since > PATIENCE_S:
                            raise
                    if news is not None or event is None:
                        yield news
                    if isinstance(news, Terminal):
                        return
            attempt += 1

    async def look(self, job_id: str, *, watch: bool = False) -> JobRecord | None:
        """What the record says now, None when there is none. With `watch` it is told
        that somebody waits for the answer."""
        found = await self._scripts("look", job_id, int(watch))
        if found is None:
            return None
        state, attempt, pool, owner, model, created, outcome = found
        return JobRecord(
            state=state.decode(),
            attempt=int(attempt),
            pool=pool.decode(),
            owner=owner.decode(),
            model=model.decode(),
            created=float(created),
            outcome=outcome.decode() if outcome else None,
        )

    async def end(self, job_id: str, outcome: Terminal) -> None:
        """Ends a job from this side, unless it has ended already.

        Its worker notices at its next renewal and stops computing.
        """
        state = record.state_of(outcome)
        await self._scripts("end", job_id, "", state, to_json(outcome))

    async def fail(self, job_id: str, reason: EdgeError) -> None:
        await self.end(job_id, Failed.because(reason))

    async def cancel(self, job_id: str) -> None:
        await self.fail(job_id, Cancelled("The client did not wait for the answer."))

    async def position(self, job_id: str, pool: str) -> Queued | None:
        """The job's place in the queue; None when it has none yet, or no longer."""
        line, stored, workers = await asyncio.gather(
            self._scripts("line", pool),
            self._broker.get(record.pace_key(pool)),
            self._fleet.workers(),
        )
        n_slots = sum(worker.n_slots for worker in workers if worker.pool == pool)
        running = [(_size(row), float(row[0])) for row in line[0]]
        ids = [row[0].decode() for row in line[1]]
        if job_id not in ids:
            return None
        sizes = [_size(row) for row in line[1]]
        begun = starts(running, sizes, n_slots, Pace.read(stored))
        rank = ids.index(job_id)
        return Queued(rank + 1, round(begun[rank], 1) if begun else None)

    async def _news(self, job_id: str) -> Event | None:
        job = await self.look(job_id, watch=True)
        if job is None:
            return Failed.because(WorkerLost("This question was lost. Ask again."))
        if job.outcome:
            return from_json(job.outcome)
        if job.state == "waiting":
            return await self.position(job_id, job.pool)
        return None

    async def _pace(self, pool: str) -> Pace:
        return Pace.read(await self._broker.get(record.pace_key(pool)))


def pause_s(n_jobs: int, n_slots: int, pace: Pace) -> int:
    """When to come back: in the second half of the time in which the jobs that are here
    will be done, each refused client at another moment."""
    seconds = n_jobs / max(n_slots, 1) * pace.job_s
    drawn = seconds * (0.5 + secrets.randbelow(500) / 1000)
    return max(1, min(round(drawn), MOST_PAUSE_S - secrets.randbelow(10)))


def _size(row: Any) -> Size | None:
    _, prompt, image, most = row
    return Size(int(prompt), int(image), int(most)) if prompt and most else None
