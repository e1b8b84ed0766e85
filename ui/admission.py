"""Which pool a question goes to, and whether it gets a reservation there."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace

from edge.errors import (
    EdgeError,
    Forbidden,
    InvalidRequest,
    ModelNotFound,
    NoWorker,
    RateLimited,
    UnsupportedParameter,
)
from edge.images import Picture
from edge.jobs.client_side import ClientJobs
from edge.jobs.fleet import CHAT, VIDEO, WorkerInfo
from edge.jobs.submission import Admitted, Bounds, ChargedTokens, Submission
from edge.limits import Limits
from edge.redis_clients import UNREACHABLE, ServerError
from edge.settings import Settings
from ui.background import Background
from ui.lost_admissions import LostAdmissions
from ui.meter import Meter
from ui.question import Question, Video
from ui.subscriptions import Subscriptions, broker_away

WATCH_EVERY_S = 2.0  # sooner than MISS_S ends a job that is missed
COMING_S = 15.0  # longer than an admission takes: a few commands of the broker


@dataclass
class Reservation:
    """An admitted question: its job, its submission, its meter, a worker of its pool,
    and whether it is in the queue."""

    job: Admitted
    submission: Submission
    meter: Meter
    served: WorkerInfo
    bounds: Bounds
    is_queued: bool = False


class Admission:
    """Reservations in the queue, by the settings and by what each key allows."""

    def __init__(
        self,
        settings: Settings,
        jobs: ClientJobs,
        subscriptions: Subscriptions,
        background: Background,
    ) -> None:
        self._settings = settings
        self._jobs = jobs
        self._subscriptions = subscriptions
        self._background = background
        self._lost = LostAdmissions(jobs)
        # Reservations by job: requests with one key have one job. And by key those to
        # come, which may have it already in the queue's eyes.
        self._held: Counter[str] = Counter()
        self._coming: Counter[str | None] = Counter()

    def close(self) -> None:
        """Withdraws no more admissions."""
        self._lost.close()

    def check_number(
        self, submission: Submission, served: WorkerInfo, workers: Sequence[WorkerInfo]
    ) -> None:
        """Raises InvalidRequest for more answers to one question than can ever be
        computed at once."""
        bounds = self._bounds(submission.limits, served, workers)
        most = min(bounds.n_slots, bounds.n_of_account)
        if submission.n_answers > most:
            raise InvalidRequest(f"n may be at most {most} here.", param="n")
        if submission.n_computed > 1 and submission.idempotency_key:
            raise InvalidRequest(
                "An Idempotency-Key names one answer. Send n: 1.", param="n"
            )

    @asynccontextmanager
    async def reserve(
        self,
        submission: Submission,
        served: WorkerInfo,
        workers: Sequence[WorkerInfo],
        meter: Meter,
        n_pictures: int = 0,
    ) -> AsyncIterator[Reservation]:
        """A reservation for a question, whose jobs end if an error leaves the block.
        A job that is kept and queued goes on without its client.

        Charges the longest answer; the end of the job refunds what it did not use.
        Image tokens are charged when they are known; here one for each of `n_pictures`
        must be left. Raises an EdgeError when there is no room, and charges nothing
        then.
        """
        # A task of its own: otherwise a client that hangs up during admission could
        # leave an admitted job whose id is lost.
        admitting = asyncio.ensure_future(
            self._admit(submission, served, workers, meter, n_pictures)
        )
        try:
            try:
                with self._counted(submission.idempotency_name):
                    reservation = await asyncio.shield(admitting)
            except UNREACHABLE as error:
                raise broker_away(error) from error
            job_ids = reservation.job.job_ids
            watching = asyncio.create_task(self._watch(job_ids))
            self._held.update(job_ids)
            try:
                with self._subscriptions.counted():
                    yield reservation
            finally:
                watching.cancel()
                self._held -= Counter(job_ids)
        except BaseException as error:
            self._background.start(self._end_job(admitting, error))
            raise

    async def hold(
        self, reservation: Reservation, pictures: Sequence[Picture], n_tokens: int
    ) -> bool:
        """Keeps room for the pictures of a question and charges their `n_tokens`; false
        when nobody needs them any more. Raises an EdgeError when one has no room.

        The tokens come back if no worker begins the job; not where there are others,
        one of which may have begun.
        """
        job, pool = reservation.job, reservation.served.pool
        if not await self._jobs.hold(job.job_ids, pictures, pool, reservation.bounds):
            return False
        refunded_by = None if job.others else job.job_id
        await reservation.meter.charge("image-tokens", n_tokens, refunded_by)
        return True

    @contextmanager
    def _counted(self, name: str | None) -> Iterator[None]:
        self._coming[name] += 1
        try:
            yield
        finally:
            self._coming -= Counter([name])

    async def _watch(self, job_ids: Sequence[str]) -> None:
        """Tells that a client waits, however long its pictures take."""
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            with suppress(*UNREACHABLE):
                for job_id in job_ids:
                    await self._jobs.look(job_id, watch=True)

    async def _admit(
        self,
        submission: Submission,
        served: WorkerInfo,
        workers: Sequence[WorkerInfo],
        meter: Meter,
        n_pictures: int,
    ) -> Reservation:
        bounds = self._bounds(submission.limits, served, workers)
        n = submission.max_tokens * submission.n_computed
        charge = refused = None
        try:
            await meter.check("image-tokens", n_pictures)
            charge = await meter.charge("answer-tokens", n)
        except RateLimited as refusal:
            refused = refusal  # unless it comes back, and was charged then
        if charge is not None:
            charged = ChargedTokens(submission.max_tokens, charge.at)
            submission = replace(submission, charged=charged)
        job_ids = [secrets.token_hex(16) for _ in range(submission.n_computed)]
        is_new = False
        try:
            job = await self._jobs.admit(
                job_ids, submission, served.pool, served.model, bounds, refused=refused
            )
            is_new = job.is_new
        except ServerError:  # a broker that is full, for example, has not run it
            raise
        except UNREACHABLE:
            is_new = True  # perhaps, or soon: only its end refunds the charge
            self._lost.add(job_ids, submission)
            raise
        finally:
            if not is_new:
                await meter.refund(charge, n)
        return Reservation(job, submission, meter, served, bounds)

    async def _end_job(
        self, admitting: asyncio.Future[Reservation], error: BaseException
    ) -> None:
        await asyncio.wait([admitting])
        if admitting.cancelled() or admitting.exception():
            return
        reservation = admitting.result()
        job, has_left = reservation.job, not isinstance(error, EdgeError)
        if has_left and reservation.is_queued and reservation.submission.is_kept:
            return
        name = reservation.submission.idempotency_name
        with suppress(TimeoutError):
            async with asyncio.timeout(COMING_S):
                while name and self._coming[name]:  # it may be given this job
                    await asyncio.sleep(0.02)
        if has_left and self._held[job.job_id]:  # another client has sent its key
            return
        is_ours = job.is_new or not (job.is_queued or self._held[job.job_id])
        for job_id in job.job_ids if is_ours else ():
            if isinstance(error, EdgeError):
                await self._jobs.fail(job_id, error)
            else:
                await self._jobs.cancel(job_id)

    def _bounds(
        self, limits: Limits, served: WorkerInfo, workers: Sequence[WorkerInfo]
    ) -> Bounds:
        n_slots = sum(w.n_slots for w in workers if w.pool == served.pool)
        n_jobs = n_slots + self._settings.backlog
        share = self._settings.client_jobs or max(1, n_jobs // 2)
        of_account = limits.jobs or share
        of_address = max(share, of_account)
        return Bounds(
            n_slots, n_jobs, of_account, of_address, self._settings.deadline_s
        )


def may_ask(served: WorkerInfo, limits: Limits) -> bool:
    """Whether a key allows to ask this model, under any of its names."""
    names = {served.model, *served.names}
    return not limits.models or not names.isdisjoint(limits.models)


def serving(
    model: str,
    workers: Sequence[WorkerInfo],
    limits: Limits,
    capability: str = CHAT,
) -> WorkerInfo:
    """A worker that serves `model`, which may be an alias; for no name the first that
    the key allows and that has the capability.

    Raises NoWorker, ModelNotFound, Forbidden where the key does not allow the model,
    or InvalidRequest where it lacks the capability.
    """
    if not workers:
        raise NoWorker("No worker is running yet. Try again soon.")
    allowed = [worker for worker in workers if may_ask(worker, limits)]
    meant = named(model, allowed)
    for worker in meant:
        if worker.can(capability):
            return worker
    known = ", ".join(sorted({worker.model for worker in allowed})) or "none"
    if named(model, workers) and not meant:
        raise Forbidden(f"Your key allows other models: {known}.", param="model")
    if meant:
        able = sorted({worker.model for worker in allowed if worker.can(capability)})
        raise InvalidRequest(
            f"{meant[0].model} is not a model for {capability}. Models for it here: "
            f"{', '.join(able) or 'none'}.",
            param="model",
        )
    raise ModelNotFound(
        f"The model {model[:80]!r} is not served here. Served: {known}.", param="model"
    )


def named(model: str, workers: Sequence[WorkerInfo]) -> list[WorkerInfo]:
    """The workers that a client means by `model`; no name means all. A name may end
    with `:latest`: clients of Ollama's API add it to those without a version."""
    for name in (model, model.removesuffix(":latest")):
        if found := [w for w in workers if name in ("", w.model, *w.names)]:
            return found
    return []


def refuse_unable(question: Question, served: WorkerInfo) -> None:
    """Raises UnsupportedParameter for what the model cannot do."""
    if question.thinking_field and served.thinks is False:
        raise UnsupportedParameter(
            f"{question.thinking_field} asks the model to think, and "
            f"{served.model} does not. Leave it out.",
            param=question.thinking_field,
        )
    videos = [one for one in question.pictures if isinstance(one, Video)]
    if videos and not served.can(VIDEO):
        raise UnsupportedParameter(
            f"{served.model} reads no videos. Send pictures of it.",
            param=videos[0].param,
        )
