"""What a client submits to the queue, within which bounds, and what it is given."""

from __future__ import annotations

from dataclasses import dataclass

from edge.caller import Caller
from edge.limits import NO_LIMITS, Limits


@dataclass(frozen=True)
class Submission:
    """Who asks, and how: a batch job may wait longer; of one that streams, text that
    was shown cannot be taken back.

    `idempotency_key` names the question for its caller: asked again it is the same
    job, which is therefore kept though its client leaves. `body_hash` tells whether it
    is the same. Its answer may have `max_tokens`; so many were `charged`, at the time
    `charged_at`.
    """

    caller: Caller
    limits: Limits = NO_LIMITS
    is_batch: bool = False
    streams: bool = False
    idempotency_key: str = ""
    body_hash: str = ""
    max_tokens: int = 0
    charged: int = 0
    charged_at: float = 0.0

    @property
    def priority(self) -> str:
        return "low" if self.is_batch else self.limits.priority

    def record(self, model: str) -> dict[str, str | int | float]:
        """What the record of its job holds of it."""
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
            "kept": int(bool(self.idempotency_key)),
            "body": self.body_hash,
            "charged": self.charged,
            "charged_at": self.charged_at,
            "model": model,
        }


@dataclass(frozen=True)
class Admitted:
    """A waiting job, or, not new, the one that was asked before under the same name."""

    job_id: str
    created: float
    is_new: bool


@dataclass(frozen=True)
class Bounds:
    """How many jobs of a pool may live at once, in all, of one account and from one
    address, and for how long; `n_slots` of them run."""

    n_slots: int
    n_jobs: int
    n_of_account: int
    n_of_address: int
    deadline_s: int
