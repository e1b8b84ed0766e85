"""The one way from a question to its answer, for API and page alike.

    known answer? -> reservation -> fetch, decode pictures -> known answer? -> enqueue

A known answer needs no reservation, so it is given even when the queue is full. Nothing
costly is done before a reservation.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from kombu.exceptions import OperationalError

from edge.conversation import trim
from edge.events import Event, Finished, Terminal
from edge.jobs.client_side import ClientJobs
from edge.jobs.fleet import CHAT, EMBEDDINGS, RERANK, WorkerInfo
from edge.jobs.submission import Admitted, Submission
from edge.redis_clients import UNREACHABLE
from edge.request import NO_SLOT, Answer, PictureRef, Request, Wants
from edge.settings import Settings
from edge.videos import ClipRef
from ui.admission import Admission, Reservation, refuse_unable, serving
from ui.answer_cache import AnswerCache, answer_key
from ui.background import Background
from ui.decoding import PictureDecoder
from ui.event_streams import Events
from ui.in_flight import InFlight
from ui.meter import Meter
from ui.metrics import Metrics, Stopwatch
from ui.picture_fetch import PictureFetch
from ui.preparing import Prepared, Preparing
from ui.question import Linked, Question
from ui.subscriptions import Subscriptions, broker_away

# Of the model; else it answers.
CAPABILITY: Final[dict[Wants, str]] = {"score": RERANK, "embedding": EMBEDDINGS}


@dataclass(frozen=True)
class Asked:
    """An accepted question, its model, the events of its answer, and those of the
    `others` that were asked for; and what is seen of the videos in it.

    Close events early and their job is cancelled, unless it is kept.
    """

    job: Admitted
    model: str
    is_cached: bool
    events: Events
    others: tuple[Events, ...] = ()
    clips: tuple[ClipRef, ...] = ()


class Asking:
    """Questions over `jobs`; `call` tells the workers of a pool that a job waits."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        jobs: ClientJobs,
        cache: AnswerCache,
        subscriptions: Subscriptions,
        background: Background,
        fetch: PictureFetch,
        call: Callable[[str], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._jobs = jobs
        self._cache = cache
        self._subscriptions = subscriptions
        self._background = background
        self._call = call
        self._admission = Admission(settings, jobs, subscriptions, background)
        self._fetch = fetch
        self.decoder = PictureDecoder(settings.image_tokens, settings.video_tokens)
        self._pictures = Preparing(fetch, self.decoder)
        self._pixels = InFlight(times=2)  # as the model sees pictures
        # Jobs whose pictures are prepared here; at the end whether they are queued.
        self._unqueued: dict[str, asyncio.Future[bool]] = {}

    def prepare(self) -> None:
        """Gets ready for the first picture."""
        self.decoder.prepare()

    def close(self) -> None:
        """Ends what waits for a picture, or for the broker."""
        self._admission.close()
        self.decoder.close()
        self._fetch.close()

    async def ask(
        self,
        submission: Submission,
        question: Question,
        workers: Sequence[WorkerInfo],
        meter: Meter,
        watch: Stopwatch,
    ) -> Asked:
        """Answers from the cache, or lets the question wait in the queue.

        `watch` has run since the question came in. Raises an EdgeError if the question
        is refused; its job ends then, and also when this is cancelled.
        """
        capability = CAPABILITY.get(question.wants, CHAT)
        served = serving(question.model, workers, submission.limits, capability)
        self._admission.check_number(submission, served, workers)
        refuse_unable(question, served)
        if served.n_cells:  # an answer never has more tokens, whatever was asked for
            n = min(submission.max_tokens, served.n_cells)
            submission = replace(submission, max_tokens=n)
        asked = await self._recall(submission, question, served, meter, watch)
        if asked is not None:
            return asked
        # each picture has a token at least; how many more is known once it is decoded
        n_pictures = 0 if question.wants in NO_SLOT else len(question.pictures)
        reserving = self._admission.reserve(
            submission, served, workers, meter, n_pictures
        )
        async with reserving as reservation:
            job = reservation.job
            if job.is_queued or await self._is_queued(job.job_id):
                events = await _begun(
                    self._follow(reservation, job.job_id, watch, None)
                )
                return Asked(job, served.model, False, events)
            done = self._unqueued[job.job_id] = asyncio.Future()
            try:
                with self._pixels.holding(submission.caller.address) as hold:
                    prepared = await self._pictures.prepare(
                        question, submission.caller, served, hold
                    )
                    if question.pictures:
                        watch.prepared()
                    asked = await self._enqueue(reservation, prepared, watch)
            finally:
                del self._unqueued[job.job_id]
                done.set_result(reservation.is_queued)
            return replace(asked, clips=prepared.clips)

    async def _is_queued(self, job_id: str) -> bool:
        """Waits for another request of this process that prepares the job, and says
        whether it was put into the queue."""
        while other := self._unqueued.get(job_id):
            if await asyncio.shield(other):
                return True
        return False

    async def _recall(
        self,
        submission: Submission,
        question: Question,
        served: WorkerInfo,
        meter: Meter,
        watch: Stopwatch,
    ) -> Asked | None:
        """The known answer, if all pictures of the question are known too. A job that
        is kept is needed even for a known answer. Raises ContextLengthExceeded."""
        if submission.is_kept:
            return None
        recall, caller = self.decoder.recall, submission.caller
        known: list[PictureRef | ClipRef] = []
        for sent in question.pictures:
            if isinstance(sent, Linked):
                return None  # it may be another one by now
            ref = recall(sent, caller, served)
            if ref is None:
                return None
            known.append(ref)
        request = question.request(known)
        if not (request.cache.reads and self._may_cache(request)):
            return None
        request = trim(request, served.n_cells)
        answer = await self._cache.get(answer_key(request, served.fingerprint))
        if answer is None:
            return None
        self._metrics.answer_cache.labels("hit").inc()
        self._background.start(meter.record_known(served.model))
        watch.of(caller, served.model)
        job = Admitted(secrets.token_hex(16), time.time(), is_new=True)
        return Asked(job, served.model, True, _known_stream(Finished(answer), watch))

    async def _enqueue(
        self,
        reservation: Reservation,
        prepared: Prepared,
        watch: Stopwatch,
    ) -> Asked:
        """Lets the question wait for its turn, unless its answer is known."""
        job, served = reservation.job, reservation.served
        watch.of(reservation.submission.caller, served.model)
        request = trim(prepared.request, served.n_cells)
        pictures = [one for one in prepared.pictures if one.ref in request.pictures]
        key = answer_key(request, served.fingerprint)
        content = answer_key(replace(request, scope=""), served.fingerprint)
        try:
            if answer := await self._known(request, key):
                done = Finished(answer)
                await self._jobs.end(job.job_id, done)
                return Asked(job, served.model, True, _known_stream(done, watch))
            if request.wants in NO_SLOT:  # no pixel is looked at
                pictures = []
            if pictures:  # those that are left after trimming, and only if computed
                n_tokens = sum(ref.n_tokens for ref in request.pictures)
                if not await self._admission.hold(reservation, pictures, n_tokens):
                    pictures = []
            watch.admitted()
            cache_key = key if self._may_cache(request) else None
            for i, job_id in enumerate(job.job_ids):
                await self._jobs.enqueue(
                    job_id,
                    _reseeded(request, i),
                    content,
                    pictures,
                    served.pool,
                    reservation.bounds,
                    shares=key if cache_key and request.cache.reads else "",
                )
                reservation.is_queued = True
                await self._call(served.pool)
        except (*UNREACHABLE, OperationalError) as error:
            raise broker_away(error) from error
        first, *others = [
            await _begun(self._follow(reservation, job_id, watch, cache_key))
            for job_id in job.job_ids
        ]
        return Asked(job, served.model, False, first, tuple(others))

    async def _follow(
        self,
        reservation: Reservation,
        job_id: str,
        watch: Stopwatch,
        cache_key: str | None,
    ) -> Events:
        """The events of a job, after one None: measured, the answer cached, the job
        cancelled when its client leaves."""
        has_ended, submission = False, reservation.submission
        watch_job = not submission.is_background  # which nobody may read
        follow = self._subscriptions.follow(job_id, watch=watch_job)
        try:
            yield None
            async for event in follow:
                has_ended = isinstance(event, Terminal)
                watch.record_event(event)
                # Before the yield: a reader stops at the last event.
                if cache_key and isinstance(event, Finished):
                    await self._cache.put(cache_key, event.answer)
                yield event
        finally:
            if not has_ended:
                watch.cancelled()
            if not has_ended and not submission.is_kept:
                self._background.start(self._jobs.cancel(job_id))

    async def _known(self, request: Request, key: str) -> Answer | None:
        """The answer, if the cache has it."""
        if not self._may_cache(request):
            self._metrics.answer_cache.labels("off").inc()
            return None
        answer = await self._cache.get(key) if request.cache.reads else None
        self._metrics.answer_cache.labels("hit" if answer else "miss").inc()
        return answer

    def _may_cache(self, request: Request) -> bool:
        is_greedy = request.sampling.is_greedy
        return self._settings.answer_cache and is_greedy and request.cache.writes


async def _begun(events: Events) -> Events:
    """The events after the first one. Only a generator that has begun runs its
    `finally` when it is closed, or forgotten."""
    await anext(events)
    return events


async def _known_stream(event: Event, watch: Stopwatch) -> Events:
    """The events of an answer that needs no job: its end, measured."""
    watch.record_event(event)
    yield event


def _reseeded(request: Request, i: int) -> Request:
    """The question of the answer with this number: its seed is as far from the
    client's, if that sent one."""
    seed = request.sampling.seed
    if seed is None or i == 0:
        return request
    return replace(request, sampling=replace(request.sampling, seed=seed + i))
