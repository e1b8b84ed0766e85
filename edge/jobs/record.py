"""The job record: a state machine in a Redis hash, moved only by compare-and-set.

    waiting -> running -> finished | failed | cancelled | expired
       ^  \\_______|___________________^
       \\__________/ once more, after its worker died or stopped

Each try at a job is an attempt; its number is raised before the engine sees the job,
and its events go to a stream of its own, which is closed when the attempt is given up:
a worker that was thought dead can write nothing that a reader will see. A running job
holds a lease, by Redis's clock, that its worker renews; without a lease its worker is
gone. A job that nobody watches is cancelled, unless it is kept for a client who said
that they will come back. The scripts in `lua/` are the only ones to move a job.

Jobs belong to a pool: the workers whose answers are equal. Each pool has sorted sets of
its live jobs by admission, its waiting jobs by place, its running jobs by the end of
their lease.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.events import Failed, Terminal

State = Literal["waiting", "running", "finished", "failed", "cancelled", "expired"]

LEASE_S = 4  # a worker that does not renew for so long is taken for dead
WATCH_S = 10  # likewise a web process, which its reader may leave for another,
VET_S = 60  # but not while it vets the pictures of a question
DEAD_AFTER_S = 3  # likewise a worker without a heartbeat: it gets nothing new
KEEP_S = 600  # how long a job's traces stay after its end
BATCH_S = 60  # how much later than they came batch jobs are placed
MOST_DEATHS = 2  # so many workers may die of a content before it is refused,
MOST_GUILT = 3  # and of questions of one caller that were computed alone; both are
QUARANTINE_S = 600  # forgotten so long after the latest
KEEP_USAGE_S = 400 * 86_400  # how long it is known what a tenant used on a day


def state_of(outcome: Terminal) -> State:
    """The state that an outcome ends a job in."""
    if not isinstance(outcome, Failed):
        return "finished"
    if outcome.code == "cancelled":
        return "cancelled"
    return "expired" if outcome.code == "deadline_exceeded" else "failed"


def labels_of(outcome: Terminal) -> tuple[State, str]:
    """State and code of an outcome, as metrics name it.

    The code is one that `edge.errors` knows, whatever the wire said: each new value of
    a label is a new series for ever.
    """
    code = outcome.error.code if isinstance(outcome, Failed) else ""
    return state_of(outcome), code


@dataclass(frozen=True)
class JobRecord:
    """What a record says at one moment. `created` is in seconds since 1970, `outcome`
    the terminal event as JSON."""

    state: State
    attempt: int
    pool: str
    owner: str
    model: str
    created: float
    outcome: str | None
