"""The one way from a question to its answer, for the API and the page alike.

answer cache -> admission -> pictures and record -> Celery message -> events
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from celery import Celery
from kombu.exceptions import OperationalError

from edge.caches.answers import AnswerCache, answer_key
from edge.errors import ModelNotFound, NoWorker, Unavailable
from edge.events import Event, Failed, Finished
from edge.images import Picture
from edge.jobs import fleet
from edge.jobs.channel import RedisFollower
from edge.jobs.client_side import ClientJobs
from edge.jobs.demand import Demand, demand
from edge.jobs.fleet import WorkerInfo
from edge.jobs.queue import QUEUE, TASK, celery_settings
from edge.redis_clients import UNREACHABLE, async_client
from edge.request import Request
from edge.settings import Settings
from ui.metrics import Metrics, Stopwatch

log = logging.getLogger(__name__)

Events = AsyncGenerator[Event | None, None]


@dataclass(frozen=True)
class Asked:
    """An accepted question: its model and its events, None in quiet seconds.

    Close `events` early and the job is cancelled.
    """

    model: str
    is_cached: bool
    events: Events


class Client:
    """Talks to broker, cache and queue on behalf of people."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self._broker = async_client(settings.broker_url)
        self._cache_redis = async_client(settings.cache_url)
        self._cache = AnswerCache(self._cache_redis, settings.answer_ttl_s)
        self._jobs = ClientJobs(self._broker, RedisFollower(self._broker))
        self._cancelling: set[asyncio.Task[None]] = set()
        self._celery = Celery("edge")
        self._celery.conf.update(celery_settings(settings.broker_url))

    async def workers(self) -> list[WorkerInfo]:
        """Live workers. Raises Unavailable when the broker cannot be asked."""
        try:
            return await fleet.workers(self._broker)
        except UNREACHABLE as error:
            raise _broker_away(error) from error

    async def demand(self) -> Demand:
        """What is asked of them. Raises one of UNREACHABLE, for whoever only looks."""
        return await demand(self._broker)

    async def cache_bytes(self) -> int:
        """Memory of the cache server; likewise."""
        return await self._cache.used_bytes()

    async def ask(
        self, request: Request, pictures: Sequence[Picture], watch: Stopwatch
    ) -> Asked:
        """Accepts a question, or raises the EdgeError that says why not.

        `watch` has run since the question came in.
        """
        if pictures:
            watch.prepared()
        workers = await self.workers()
        served = _serving(request.model, workers)
        key = self._cache_key(request, served)
        if key and (answer := await self._cache.get(key)):
            watch.cached()
            return Asked(served.model, True, _only(Finished(answer)))
        self.metrics.answer_cache.labels("miss" if key else "off").inc()
        try:
            job_id = await self._enqueue(request, pictures, workers, watch)
        except (*UNREACHABLE, OperationalError) as error:
            raise _broker_away(error) from error
        return Asked(served.model, False, self._follow(job_id, key, watch))

    async def close(self) -> None:
        await asyncio.gather(*self._cancelling, return_exceptions=True)
        await self._broker.aclose()
        await self._cache_redis.aclose()

    def _cache_key(self, request: Request, served: WorkerInfo) -> str | None:
        if not self.settings.answer_cache or not request.sampling.is_greedy:
            return None
        return answer_key(request, served.fingerprint)

    async def _enqueue(
        self,
        request: Request,
        pictures: Sequence[Picture],
        workers: list[WorkerInfo],
        watch: Stopwatch,
    ) -> str:
        deadline_s = self.settings.deadline_s
        limit = sum(worker.n_slots for worker in workers) + self.settings.backlog
        job_id = await self._jobs.admit(request, limit=limit, deadline_s=deadline_s)
        watch.admitted()
        try:
            await self._jobs.keep(job_id, pictures, deadline_s)
            # kombu blocks: a thread of its own, or one slow publish stops everybody
            await asyncio.to_thread(
                self._celery.send_task,
                TASK,
                args=[job_id],
                queue=QUEUE,
                expires=deadline_s,
                retry=False,
            )
        except BaseException:
            self._cancel_soon(job_id)
            raise
        return job_id

    async def _follow(self, job_id: str, key: str | None, watch: Stopwatch) -> Events:
        has_ended = False
        try:
            async for event in self._jobs.follow(job_id):
                has_ended = isinstance(event, Finished | Failed)
                watch.saw(event)
                # Before the yield: after the last event nobody asks for more.
                if key and isinstance(event, Finished):
                    await self._cache.put(key, event.answer)
                yield event
        except UNREACHABLE as error:
            lost = Failed.because(_broker_away(error))
            watch.saw(lost)
            yield lost
        finally:
            if not has_ended:  # the reader left: nobody waits for this answer
                self._cancel_soon(job_id)
                watch.cancelled()

    def _cancel_soon(self, job_id: str) -> None:
        """Cancels a job from code that may itself be cancelled at its next await."""
        task = asyncio.create_task(self._jobs.cancel(job_id))
        self._cancelling.add(task)  # the loop itself would not keep it alive
        task.add_done_callback(self._cancelling.discard)


def _serving(model: str, workers: list[WorkerInfo]) -> WorkerInfo:
    if not workers:
        raise NoWorker("No worker is running yet. Try again soon.")
    for worker in workers:
        if model in ("", worker.model):
            return worker
    known = ", ".join(sorted({worker.model for worker in workers}))
    raise ModelNotFound(
        f"The model {model[:80]!r} is not served here. Served: {known}.", param="model"
    )


async def _only(event: Event) -> Events:
    yield event


def _broker_away(error: Exception) -> Unavailable:
    log.error("the broker is not reachable: %s", error)
    return Unavailable("The queue cannot be reached. Try again soon.")
