"""The web process's connections to broker, cache and queue, for API and page alike."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from celery import Celery

from edge.caller import Caller
from edge.errors import ModelNotFound, NotFound, NoWorker, ShuttingDown
from edge.events import Queued
from edge.jobs.cache_contents import Contents, Kind, measure
from edge.jobs.channel import RedisFollower
from edge.jobs.client_side import ClientJobs
from edge.jobs.demand import Demand, demand
from edge.jobs.fleet import CHAT, Fleet, WorkerInfo
from edge.jobs.ledger import Ledger
from edge.jobs.logins import Logins
from edge.jobs.position import Outlook
from edge.jobs.queue import TASK, celery_settings, queue_of
from edge.jobs.reconcile import Reconciler
from edge.jobs.record import JobRecord
from edge.jobs.refusal import PoolRetired
from edge.jobs.submission import Submission
from edge.keys import Keys
from edge.limits import Limits
from edge.model_names import read_aliases
from edge.redis_clients import TIMEOUT_S, UNREACHABLE, async_client
from edge.schemas.reading import read
from edge.settings import Settings
from ui.admission import may_ask, named, serving
from ui.answer_cache import AnswerCache
from ui.asking import Asked, Asking
from ui.background import Background
from ui.decoding import PictureDecoder
from ui.in_flight import InFlight
from ui.meter import Meter
from ui.metrics import Metrics, Stopwatch
from ui.openai.formats import ANY_OBJECT
from ui.picture_fetch import PictureFetch
from ui.picture_hosts import PictureHosts
from ui.question import Question
from ui.responses.store import ResponseStore
from ui.subscriptions import Subscriptions, broker_away


@dataclass(frozen=True)
class JobView:
    """The record of a job, and its queue position while it waits."""

    record: JobRecord
    queued: Queued | None


class Client:
    """Asks questions, and looks at jobs and workers.

    Unless a method says otherwise it raises Unavailable when the broker cannot be
    reached.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics(by_key=settings.metrics_by_key, audits=settings.audit)
        self.keys = Keys(settings.keys_path, are_needed=bool(settings.keys_file))
        self._broker = async_client(settings.broker_url)
        self._cache_redis = async_client(settings.cache_url)
        self._cache = AnswerCache(self._cache_redis, settings.answer_ttl_s)
        self.responses = ResponseStore(self._cache_redis)
        self._fleet = Fleet(self._broker, read_aliases(settings.aliases))
        self.ledger = Ledger(self._broker)
        self.logins = Logins(self._broker)
        self._jobs = ClientJobs(
            self._broker,
            RedisFollower(self._broker),
            own_grammar=read(ANY_OBJECT),  # of everybody's `json_object`
        )
        self.subscriptions = Subscriptions(self._jobs)
        self._celery = Celery("edge")
        self._celery.conf.update(celery_settings(settings.broker_url, TIMEOUT_S))
        self.in_flight = InFlight()
        self.pages_in_flight = InFlight()  # documents whose pages are asked, inputs
        self.picture_hosts = PictureHosts(settings.picture_hosts)
        self._reconciler = Reconciler(self._broker, self._call)
        self._background = Background()
        self._following = Background()
        self._asking = Asking(
            settings,
            self.metrics,
            self._jobs,
            self._cache,
            self.subscriptions,
            self._background,
            PictureFetch(self.picture_hosts, self.in_flight),
            self._call,
        )

    @property
    def decoder(self) -> PictureDecoder:
        """What reads pictures and documents; it does not need the broker."""
        return self._asking.decoder

    def meter(self, submission: Submission) -> Meter:
        """Counts what a question costs its caller."""
        return Meter(self.ledger, submission.caller, submission.limits)

    async def ask(
        self, submission: Submission, question: Question, meter: Meter, watch: Stopwatch
    ) -> Asked:
        """See `Asking.ask`."""
        watch.of(submission.caller, question.model)
        retired: list[str] = []
        while True:
            workers = [w for w in await self.workers() if w.pool not in retired]
            try:
                return await self._asking.ask(
                    submission, question, workers, meter, watch
                )
            except PoolRetired as refusal:  # its model has just been replaced
                retired.append(refusal.pool)
            except ModelNotFound:
                await self._refuse_lost(question.model, submission.limits)
                raise

    async def serving(
        self, model: str, limits: Limits, capability: str = CHAT
    ) -> WorkerInfo:
        """See `admission.serving`. Raises NoWorker for a model whose worker has died:
        it is started again, and clients ask again by themselves then."""
        workers = await self.workers()
        try:
            return serving(model, workers, limits, capability)
        except ModelNotFound:
            await self._refuse_lost(model, limits)
            raise

    async def _refuse_lost(self, model: str, limits: Limits) -> None:
        try:
            lost = await self._fleet.lost()
        except UNREACHABLE as error:
            raise broker_away(error) from error
        for worker in named(model, lost):
            if may_ask(worker, limits):
                raise NoWorker(
                    f"The worker of {worker.model} has stopped. Try again soon."
                )

    async def workers(self) -> list[WorkerInfo]:
        """Live workers. Raises ShuttingDown when this process is about to stop."""
        if self.subscriptions.is_closing:
            raise ShuttingDown("The server is being stopped. Try again soon.")
        try:
            return await self._fleet.workers()
        except UNREACHABLE as error:
            raise broker_away(error) from error

    async def job(self, job_id: str, caller: Caller) -> JobView:
        """A job of `caller`.

        Raises NotFound for a job that does not exist, or belongs to another caller.
        """
        try:
            job = await self._jobs.look(job_id)
            if job is None or job.owner != caller.name:
                raise NotFound("There is no such job.")
            if job.state != "waiting":
                return JobView(job, None)
            queued = await self._jobs.position(job_id, job.pool)
            return JobView(job, queued)
        except UNREACHABLE as error:
            raise broker_away(error) from error

    def go_on(self, work: Coroutine[Any, Any, None]) -> None:
        """Starts work that outlives its request, but not this process."""
        self._following.start(work)

    async def cancel(self, job_id: str) -> None:
        """Ends a job, if it has not ended."""
        try:
            await self._jobs.cancel(job_id)
        except UNREACHABLE as error:
            raise broker_away(error) from error

    async def demand(self) -> Demand:
        """How many jobs run and wait. Raises one of UNREACHABLE."""
        return await demand(self._broker)

    async def outlook(self, pool: str) -> Outlook:
        """The load and the pace of a pool. Raises one of UNREACHABLE."""
        return await self._jobs.outlook(pool)

    async def cache_bytes(self) -> int:
        """Memory of the cache server. Raises one of UNREACHABLE."""
        return await self._cache.used_bytes()

    async def cached(self, within_s: float) -> dict[Kind, Contents]:
        """What the cache server holds. Raises one of UNREACHABLE."""
        return await measure(self._cache_redis, within_s)

    async def run(self) -> None:
        """What this process does beside answering, until cancelled: it starts decoders
        for the first pictures, and reconciles."""
        self._asking.prepare()
        await self._reconciler.run()

    async def drain(self) -> None:
        """Takes nothing new, and returns when running answers have ended, or the grace
        is over."""
        await self.subscriptions.drain(self.settings.grace_s)

    async def close(self) -> None:
        self._asking.close()
        await self._following.cancel()
        await self._background.close()
        await self._broker.aclose()
        await self._cache_redis.aclose()

    async def _call(self, pool: str) -> None:
        """Tells the workers of a pool that a job waits."""
        # kombu blocks: in a thread, or one slow publish would stop all requests
        await asyncio.to_thread(
            self._celery.send_task,
            TASK,
            queue=queue_of(pool),
            expires=self.settings.deadline_s,
            retry=False,
        )
