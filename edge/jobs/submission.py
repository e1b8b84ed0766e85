"""What a client submits to the queue, within which bounds, and what it is given."""

from __future__ import annotations

from dataclasses import dataclass

from edge.caller import Caller
from edge.limits import NO_LIMITS, Limits


@dataclass(frozen=True)
class ChargedTokens:
    """Answer tokens of each job that were charged in advance, `at` a time in seconds
    since 1970."""

    n_tokens: int
    at: float


@dataclass(frozen=True)
class Submission:
    """A caller's question, as far as the queue is concerned.

    A batch job may wait longer. With `streams`, the client is shown text that cannot be
    taken back; with `has_tools` the answer may hold calls of functions. With the
    `idempotency_key` and `body_hash` of an earlier submission of the same caller it is
    the same job. Each of its `n_answers` has at most `max_tokens`; equal ones are
    computed once: `n_computed`.
    """

    caller: Caller
    limits: Limits = NO_LIMITS
    is_batch: bool = False
    streams: bool = False
    has_tools: bool = False
    is_background: bool = False
    idempotency_key: str = ""
    body_hash: str = ""
    max_tokens: int = 0
    n_answers: int = 1
    n_computed: int = 1
    charged: ChargedTokens | None = None

    @property
    def priority(self) -> str:
        return "low" if self.is_batch else self.limits.priority

    @property
    def is_kept(self) -> bool:
        """Whether the job goes on after its client has left, who may come back."""
        return self.is_background or bool(self.idempotency_key)

    @property
    def idempotency_name(self) -> str | None:
        """The key, distinct from equal keys of other callers; None without one."""
        key = self.idempotency_key
        return f"{self.caller.name}:{key}" if key else None

    def record(self, model: str) -> dict[str, str | int | float]:
        """The fields of the job record that come from the submission."""
        caller = self.caller
        return {
            "owner": caller.name,
            "tenant": caller.tenant,
            "account": caller.account,
            "address": caller.address,
            "culprit": caller.culprit,
            "weight": self.limits.weight,
            "priority": self.priority,
            "streams": int(self.streams),
            "has_tools": int(self.has_tools),
            "kept": int(self.is_kept),
            "body_hash": self.body_hash,
            "charged": self.charged.n_tokens if self.charged else 0,
            "charged_at": self.charged.at if self.charged else 0,
            "model": model,
        }


@dataclass(frozen=True)
class Admitted:
    """An admitted job, `created` in seconds since 1970, and the `others` of the same
    question. One that is not new was submitted before with the same idempotency key;
    unless it `is_queued`, who submitted it may have died: prepare it too."""

    job_id: str
    created: float
    is_new: bool
    is_queued: bool = False
    others: tuple[str, ...] = ()

    @property
    def job_ids(self) -> tuple[str, ...]:
        return self.job_id, *self.others


@dataclass(frozen=True)
class Bounds:
    """How many unfinished jobs a pool may have, in all, of one account and from one
    address, and for how long. `n_slots` of them run."""

    n_slots: int
    n_jobs: int
    n_of_account: int
    n_of_address: int
    deadline_s: int
