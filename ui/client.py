"""The one way from a question to its answer, for the API and the page alike.

known answer? -> place -> pictures -> answer cache -> queue -> Celery -> events
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError

from edge.caller import Caller
from edge.conversation import trim
from edge.errors import (
    EdgeError,
    NotFound,
    ShuttingDown,
)
from edge.events import Event, Finished, Queued, Terminal
from edge.images import Picture
from edge.jobs.channel import RedisFollower
from edge.jobs.client_side import ClientJobs
from edge.jobs.demand import Demand, demand
from edge.jobs.fleet import Fleet, WorkerInfo
from edge.jobs.ledger import Ledger
from edge.jobs.logins import Logins
from edge.jobs.queue import TASK, celery_settings, queue_of
from edge.jobs.reconcile import Reconciler
from edge.jobs.record import JobRecord
from edge.jobs.submission import Admitted, Submission
from edge.keys import Keys
from edge.redis_clients import UNREACHABLE, async_client
from edge.request import Answer, Request
from edge.settings import Settings
from ui.admission import Admission, Place, serving
from ui.answer_cache import AnswerCache, answer_key
from ui.meter import Meter
from ui.metrics import Metrics, Stopwatch
from ui.readers import Events, Readers, broker_away

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """An accepted question, its model and its events, None in quiet seconds.

    Close `events` early and the job is cancelled, unless it is kept.
    """

    job: Admitted
    model: str
    is_cached: bool
    events: Events


class Client:
    """Talks to broker, cache and queue on behalf of people."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics(by_key=settings.metrics_by_key, audits=settings.audit)
        self.keys = Keys(settings.keys_path, are_needed=bool(settings.keys_file))
        self._broker = async_client(settings.broker_url)
        self._cache_redis = async_client(settings.cache_url)
        self._cache = AnswerCache(self._cache_redis, settings.answer_ttl_s)
        self._fleet = Fleet(self._broker)
        self.ledger = Ledger(self._broker)
        self.logins = Logins(self._broker)
        self._jobs = ClientJobs(self._broker, RedisFollower(self._broker))
        self._admission = Admission(settings, self._jobs)
        self._soon: set[asyncio.Task[None]] = set()
        self._celery = Celery("edge")
        self._celery.conf.update(celery_settings(settings.broker_url))
        self._reconciler = Reconciler(self._broker, self._call)
        self._readers = Readers(self._jobs)

    async def workers(self) -> list[WorkerInfo]:
        """Live workers. Raises Unavailable when the broker cannot be asked, or we are
        about to stop."""
        if self._readers.is_closing:
            raise ShuttingDown("The server is being stopped. Try again soon.")
        try:
            return await self._fleet.workers()
        except UNREACHABLE as error:
            raise broker_away(error) from error

    def meter(self, asker: Submission, headers: dict[str, str] | None = None) -> Meter:
        """Counts what a question of this asker costs."""
        headers = {} if headers is None else headers
        return Meter(self.ledger, asker.caller, asker.limits, headers)

    async def demand(self) -> Demand:
        """What is asked of them. Raises one of UNREACHABLE, for whoever only looks."""
        return await demand(self._broker)

    async def cache_bytes(self) -> int:
        """Memory of the cache server; likewise."""
        return await self._cache.used_bytes()

    @asynccontextmanager
    async def place(
        self, asker: Submission, model: str, meter: Meter
    ) -> AsyncIterator[Place]:
        """A place for a question, taken before anything costly is done for it.

        Raises the EdgeError that says why there is none. An error on the way to `ask`
        ends the job.
        """
        workers = await self.workers()
        try:
            place = await self._admission.place(asker, model, workers, meter)
        except UNREACHABLE as error:
            raise broker_away(error) from error
        job = place.job
        try:
            with self._readers.counted():
                yield place
        except BaseException as error:
            if job.is_new:
                if isinstance(error, EdgeError):
                    self._do_soon(self._jobs.fail(job.job_id, error))
                else:
                    self._do_soon(self._jobs.cancel(job.job_id))
            raise

    async def recall(
        self, request: Request | None, asker: Submission, watch: Stopwatch, meter: Meter
    ) -> Asked | None:
        """A question that can be answered without a place, because its answer is
        known; so it can be though the queue is full. Raises ContextLengthExceeded."""
        if request is None or asker.idempotency_key or not self._may_cache(request):
            return None
        served = serving(request.model, await self.workers(), asker.limits)
        request = trim(request, served.n_cells)
        answer = await self._cache.get(answer_key(request, served.fingerprint))
        if answer is None:
            return None
        self.metrics.answer_cache.labels("hit").inc()
        self._do_soon(meter.known(served.model))
        watch.of(asker.caller, served.model)
        job = Admitted(secrets.token_hex(16), time.time(), is_new=True)
        return Asked(job, served.model, True, _only(Finished(answer), watch))

    async def ask(
        self,
        place: Place,
        request: Request,
        pictures: Sequence[Picture],
        watch: Stopwatch,
    ) -> Asked:
        """Lets the question wait for its turn, unless its answer is known.

        `watch` has run since the question came in.
        """
        if pictures:
            watch.prepared()
        job, model, pool = place.job, place.served.model, place.served.pool
        watch.of(place.asker.caller, model)
        request = trim(request, place.served.n_cells)
        pictures = [one for one in pictures if one.ref in request.pictures]
        key = answer_key(request, place.served.fingerprint)
        content = answer_key(replace(request, scope=""), place.served.fingerprint)
        try:
            if answer := await self._known(request, key):
                done = Finished(answer)
                await self._jobs.end(job.job_id, done)
                return Asked(job, model, True, _only(done, watch))
            if pictures:  # of those that stay, and only when they are computed
                n_tokens = sum(ref.n_tokens for ref in request.pictures)
                await place.meter.charge("image-tokens", n_tokens)
            watch.admitted()
            await self._jobs.enqueue(
                *(job.job_id, request, content, pictures, pool, place.bounds),
                shares=key if self._may_cache(request) else "",
            )
            await self._call(pool)
        except (*UNREACHABLE, OperationalError) as error:
            raise broker_away(error) from error
        cache_key = key if self._may_cache(request) else None
        return Asked(job, model, False, self._follow(place, watch, cache_key))

    def asked_before(self, place: Place, watch: Stopwatch) -> Asked:
        """The question that was asked before under the same name."""
        events = self._follow(place, watch, None)
        return Asked(place.job, place.served.model, False, events)

    async def _follow(
        self, place: Place, watch: Stopwatch, cache_key: str | None
    ) -> Events:
        """The job's events, None in quiet seconds."""
        job_id, has_ended = place.job.job_id, False
        try:
            async for event in self._readers.follow(job_id):
                has_ended = isinstance(event, Terminal)
                watch.saw(event)
                # Before the yield: after the last event nobody asks for more.
                if cache_key and isinstance(event, Finished):
                    await self._cache.put(cache_key, event.answer)
                yield event
        finally:
            if not has_ended:  # the reader left: nobody waits for this answer
                watch.cancelled()
            if not has_ended and not place.asker.idempotency_key:
                self._do_soon(self._jobs.cancel(job_id))

    async def job(self, job_id: str, caller: Caller) -> tuple[JobRecord, Queued | None]:
        """The record of a job, and its place while it waits.

        Raises NotFound for a job that is not, or not any more, or somebody else's.
        """
        try:
            job = await self._jobs.look(job_id)
            if job is None or job.owner != caller.name:
                raise NotFound("There is no such job.")
            if job.state != "waiting":
                return job, None
            return job, await self._jobs.position(job_id, job.pool)
        except UNREACHABLE as error:
            raise broker_away(error) from error

    def follow_again(self, job_id: str) -> Events:
        """The events of a job from its first. Closing them ends nothing."""
        return self._readers.follow(job_id)

    async def cancel(self, job_id: str) -> None:
        """Ends a job, if it has not ended."""
        try:
            await self._jobs.cancel(job_id)
        except UNREACHABLE as error:
            raise broker_away(error) from error

    async def run(self) -> None:
        """What this process does beside answering: reconcile. Until cancelled."""
        await self._reconciler.run()

    async def drain(self) -> None:
        """Takes nothing new, and returns when the answers that can have ended."""
        await self._readers.drain(self.settings.grace_s)

    async def close(self) -> None:
        await asyncio.gather(*self._soon, return_exceptions=True)
        await self._broker.aclose()
        await self._cache_redis.aclose()

    async def _call(self, pool: str) -> None:
        """Tells the workers of a pool that a job waits."""
        # kombu blocks: a thread of its own, or one slow publish stops everybody
        await asyncio.to_thread(
            self._celery.send_task,
            TASK,
            queue=queue_of(pool),
            expires=self.settings.deadline_s,
            retry=False,
        )

    async def _known(self, request: Request, key: str) -> Answer | None:
        """The answer, if the cache has it."""
        if not self._may_cache(request):
            self.metrics.answer_cache.labels("off").inc()
            return None
        answer = await self._cache.get(key)
        self.metrics.answer_cache.labels("hit" if answer else "miss").inc()
        return answer

    def _may_cache(self, request: Request) -> bool:
        return self.settings.answer_cache and request.sampling.is_greedy

    def _do_soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Does something from code that may itself be cancelled at its next await."""
        task = asyncio.create_task(_quietly(work))
        self._soon.add(task)  # the loop itself would not keep it alive
        task.add_done_callback(self._soon.discard)


async def _only(event: Event, watch: Stopwatch) -> Events:
    watch.saw(event)
    yield event


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except UNREACHABLE as error:  # then the reconciler will find that nobody waits
        log.warning("a job could not be ended: %s", error)
