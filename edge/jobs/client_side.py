"""What the web process does to jobs: admit, enqueue, follow, end. Asynchronous."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import cast

import redis.asyncio

from edge.caller import ANONYMOUS
from edge.errors import Cancelled, EdgeError, RequestQuarantined, WorkerLost
from edge.events import (
    Accepted,
    Event,
    Failed,
    Finished,
    Queued,
    Retried,
    Terminal,
    from_json,
    to_json,
)
from edge.images import Picture
from edge.jobs import keys
from edge.jobs.channel import PATIENCE_S, QUIET_MS, Follower
from edge.jobs.estimate import Pace
from edge.jobs.pictures import n_bytes, put_pictures
from edge.jobs.position import Outlook, Positions
from edge.jobs.record import JobRecord, State, state_of
from edge.jobs.refusal import (
    MOST_KEPT,
    PoolRetired,
    key_reused,
    no_room,
    pause_s,
    refusal,
)
from edge.jobs.scripts import QUARANTINED, Scripts, named
from edge.jobs.submission import Admitted, Bounds, Submission
from edge.redis_clients import AWAY
from edge.request import NO_SLOT, Request


class ClientJobs:
    """Job records as the web process sees them. Deaths are not counted by the schema
    `own_grammar`, which is everybody's."""

    def __init__(
        self, broker: redis.asyncio.Redis, channel: Follower, own_grammar: str = ""
    ) -> None:
        self._broker = broker
        self._own_grammar = own_grammar
        self._channel = channel
        self._scripts = Scripts(broker)
        self._positions = Positions(broker, self._scripts)

    async def admit(
        self,
        job_ids: Sequence[str],
        submission: Submission,
        pool: str,
        model: str,
        bounds: Bounds,
        *,
        refused: EdgeError | None = None,
    ) -> Admitted:
        """Makes a reservation for the new jobs of a question: for all or for none. They
        get these new `job_ids`, one for each answer that is computed.

        With `refused` only an earlier job of its idempotency key will do; without one
        it is raised. Raises QueueFull or ClientLimit when there is no reservation;
        KeyReused when its idempotency key was used for another question; PoolRetired
        when the pool takes no new jobs. After one of UNREACHABLE, unless it is a
        ServerError, call `withdraw`: it may have run, or run yet.
        """
        is_anonymous = submission.caller.tenant == ANONYMOUS
        reply = named(
            await self._scripts(
                "admit",
                job_ids=job_ids,
                pool=pool,
                record=submission.record(model),
                n_jobs=bounds.n_jobs,
                n_of_account=bounds.n_of_account,
                n_of_address=bounds.n_of_address,
                n_kept=MOST_KEPT if is_anonymous else None,
                deadline_s=bounds.deadline_s,
                idempotency_name=submission.idempotency_name,
                n_slots=bounds.n_slots,
                job_s=Pace().job_s,
                joins_only=1 if refused else None,
            )
        )
        match reply["status"]:
            case "admitted" | "joined" as status:
                is_new = status == "admitted"
                return Admitted(
                    reply["job_id"],
                    float(reply["created"]),
                    is_new,
                    is_queued=reply.get("is_queued") == "1",
                    others=tuple(job_ids[1:]) if is_new else (),
                )
            case "reused":
                raise key_reused()
            case "absent" if refused:
                raise refused
            case "retired":
                raise PoolRetired(pool)
            case status:
                pause = float(reply["pause_s"]), float(reply["spacing_s"])
                raise refusal(status, bounds, pause_s(*pause))

    async def withdraw(self, job_ids: Sequence[str], submission: Submission) -> None:
        """Takes an admission back whose reply was lost, and refunds what was charged
        for it; it may run yet. May be repeated; KEEP_S after the charge, when the
        job's record may be gone, nothing is refunded."""
        charged = submission.charged
        await self._scripts(
            "withdraw",
            job_ids=job_ids,
            tenant=submission.caller.tenant,
            charged=charged.n_tokens if charged else 0,
            charged_at=charged.at if charged else 0,
        )

    async def hold(
        self,
        job_ids: Sequence[str],
        pictures: Iterable[Picture],
        pool: str,
        bounds: Bounds,
    ) -> bool:
        """Keeps room in the broker for the pictures of each admitted job of a question,
        until it ends; False when they are not needed any more.

        Raises ClientLimit or QueueFull when there is no room now, BodyTooLarge when
        there never is.
        """
        each = n_bytes(pictures)
        reply = named(await self._scripts("hold", job_ids=job_ids, n_bytes=each))
        match reply["status"]:
            case "held" | "gone" as status:
                return status == "held"
            case status:
                pace = await self._positions.pace(pool)
                next_s = pace.job_s / max(bounds.n_slots, 1)  # until a job ends
                raise no_room(
                    status,
                    len(job_ids) * each,
                    float(reply["most_bytes"]),
                    pause_s(next_s, next_s),
                )

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
        """Puts an admitted job into the queue, unless it is there already; `content`
        names the question, equal for all callers; `hold` has kept room for `pictures`.
        The answer to another job with the same `shares` ends this one while it waits.

        Raises RequestQuarantined when workers have died of this content, and the error
        with which the job has ended meanwhile.
        """
        await put_pictures(self._broker, job_id, pictures, bounds.deadline_s)
        pace = await self._positions.pace(pool)
        schema = request.sampling.grammar
        if schema == self._own_grammar:
            schema = ""
        status = await self._scripts(
            "enqueue",
            job_id=job_id,
            request=json.dumps(request.to_json()),
            content=content,
            schema=hashlib.sha256(schema.encode()).hexdigest() if schema else "",
            shares=shares,
            spacing_s=pace.job_s / max(bounds.n_slots, 1),
            max_tokens=request.answer_tokens,
            no_slot=int(request.wants in NO_SLOT),
        )
        if status == b"quarantined":
            raise RequestQuarantined(QUARANTINED)
        if status == b"gone":
            await self._broker.unlink(keys.PICTURES(job_id))
            job = await self.look(job_id)
            outcome = from_json(job.outcome) if job and job.outcome else None
            if isinstance(outcome, Finished):  # known to another process
                return
            if isinstance(outcome, Failed):
                raise outcome.error
            raise WorkerLost("This question was lost. Ask again.")

    async def follow(
        self, job_id: str, *, watch: bool = True
    ) -> AsyncIterator[Event | None]:
        """The job's events up to its terminal one, and None in quiet seconds.

        When a job is accepted, and each second, the record is read, and told that a
        client waits if `watch`: a job that waits gives its queue position, and one that
        is lost ends here. Raises one of AWAY when neither events nor the record can be
        read for PATIENCE_S: a broker whose disk is full answers reads, and no events
        come.
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
                is_due = time.monotonic() - looked > QUIET_MS / 1000
                if event is None or isinstance(event, Accepted) or is_due:
                    looked, news = time.monotonic(), None
                    try:
                        news = await self._news(job_id, watch=watch)
                        refused_since = None
                    except AWAY:
                        refused_since = refused_since or looked
                        if looked - refused_since > PATIENCE_S:
                            raise
                    # the events of a job that has ended meanwhile come first
                    if isinstance(event, Accepted) and not isinstance(news, Queued):
                        continue
                    if news is not None or event is None:
                        yield news
                    if isinstance(news, Terminal):
                        return
            attempt += 1

    async def look(self, job_id: str, *, watch: bool = False) -> JobRecord | None:
        """What the record says now; None when there is none. `watch` records that a
        client waits for the answer."""
        found = await self._scripts("look", job_id=job_id, watch=watch)
        if found is None:
            return None
        reply = named(found)
        return JobRecord(
            state=cast(State, reply["state"]),
            attempt=int(reply["attempt"]),
            pool=reply["pool"],
            owner=reply["owner"],
            model=reply["model"],
            created=float(reply["created"]),
            has_tools=reply.get("has_tools") == "1",  # absent in an older job
            outcome=reply.get("outcome"),
        )

    async def end(self, job_id: str, outcome: Terminal) -> None:
        """Ends a job from this side, unless it has ended already.

        Its worker notices at its next renewal and stops computing.
        """
        await self._scripts(
            "end", job_id=job_id, state=state_of(outcome), outcome=to_json(outcome)
        )

    async def fail(self, job_id: str, reason: EdgeError) -> None:
        await self.end(job_id, Failed.because(reason))

    async def cancel(self, job_id: str) -> None:
        await self.fail(job_id, Cancelled("The client did not wait for the answer."))

    async def position(self, job_id: str, pool: str) -> Queued | None:
        """The job's queue position; None when it does not wait in the queue."""
        return await self._positions.find(job_id, pool)

    async def outlook(self, pool: str) -> Outlook:
        """The load and the pace of a pool."""
        return await self._positions.outlook(pool)

    async def _news(self, job_id: str, *, watch: bool) -> Event | None:
        job = await self.look(job_id, watch=watch)
        if job is None:
            return Failed.because(WorkerLost("This question was lost. Ask again."))
        if job.outcome:
            return from_json(job.outcome)
        if job.state == "waiting":
            return await self.position(job_id, job.pool)
        return None
