"""Which pool a question goes to, and whether it gets a place there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge.errors import Forbidden, ModelNotFound, NoWorker
from edge.jobs.client_side import ClientJobs
from edge.jobs.fleet import WorkerInfo
from edge.jobs.submission import Admitted, Bounds, ChargedTokens, Submission
from edge.limits import Limits
from edge.settings import Settings
from ui.meter import Meter


@dataclass(frozen=True)
class Place:
    """An admitted question: its job, who asks and what that costs, and the worker that
    stands for its pool."""

    job: Admitted
    asker: Submission
    meter: Meter
    served: WorkerInfo
    bounds: Bounds


class Admission:
    """Places in the queue, by the settings and by what each key allows."""

    def __init__(self, settings: Settings, jobs: ClientJobs) -> None:
        self._settings = settings
        self._jobs = jobs

    async def place(
        self, asker: Submission, model: str, workers: Sequence[WorkerInfo], meter: Meter
    ) -> Place:
        """Charges the longest answer, of which the end of the job gives back the rest.

        Raises the EdgeError that says why there is no place, with nothing charged.
        """
        served = serving(model, workers, asker.limits)
        n_slots = sum(w.n_slots for w in workers if w.pool == served.pool)
        bounds = self._bounds(n_slots, asker.limits)
        n = asker.max_tokens
        charge = await meter.charge("answer-tokens", n)
        if charge is not None:
            asker = replace(asker, charged=ChargedTokens(n, charge.at))
        has_place = False
        try:
            job = await self._jobs.admit(asker, served.pool, served.model, bounds)
            has_place = job.is_new
        finally:
            if not has_place:
                await meter.refund(charge, n)
        return Place(job, asker, meter, served, bounds)

    def _bounds(self, n_slots: int, limits: Limits) -> Bounds:
        n_jobs = n_slots + self._settings.backlog
        share = self._settings.client_jobs or max(1, n_jobs // 2)
        of_account = limits.jobs or share
        of_address = max(share, of_account)
        return Bounds(
            n_slots, n_jobs, of_account, of_address, self._settings.deadline_s
        )


def may_ask(model: str, limits: Limits) -> bool:
    """Whether a key allows to ask this model."""
    return not limits.models or model in limits.models


def serving(model: str, workers: Sequence[WorkerInfo], limits: Limits) -> WorkerInfo:
    """A worker that serves `model`, or for no name any that the key allows.

    Raises NoWorker, ModelNotFound, or Forbidden where the key does not allow it.
    """
    if not workers:
        raise NoWorker("No worker is running yet. Try again soon.")
    allowed = [worker for worker in workers if may_ask(worker.model, limits)]
    for worker in allowed:
        if model in ("", worker.model):
            return worker
    known = ", ".join(sorted({worker.model for worker in allowed})) or "none"
    if model in ("", *(worker.model for worker in workers)):
        raise Forbidden(f"Your key allows other models: {known}.", param="model")
    raise ModelNotFound(
        f"The model {model[:80]!r} is not served here. Served: {known}.", param="model"
    )
