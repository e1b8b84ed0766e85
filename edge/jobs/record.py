"""The job record: a state machine in a Redis hash, moved only by compare-and-set.

    waiting -> running -> finished | failed | cancelled | expired
       ^  \\_______|___________________^
       \\__________/ retried, after its worker died or stopped

Each run of a job is an attempt; its number is raised before the engine gets the job,
and its events go to a stream of its own, which is closed when the attempt is abandoned:
a worker that was presumed dead can write nothing that a client will read. A running job
holds a lease, by Redis's clock, that its worker renews; when the lease ends, the worker
is presumed dead. A job without a watching client is cancelled, unless it was submitted
with an idempotency key and has reached the queue. Only the scripts in `lua/` move jobs.

Jobs belong to a pool: the workers whose answers are equal. Each pool has sorted sets of
its live jobs by admission, its waiting jobs by score, its running jobs by the end of
their lease. `edge.jobs.keys` lists all keys and fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.events import Failed, Terminal

State = Literal["waiting", "running", "finished", "failed", "cancelled", "expired"]

LEASE_S = 4  # without a renewal, after which a worker is presumed dead
WATCH_S = 10  # without a watching client, after which it is missed
MISS_S = 3  # that it is missed, after which its job is cancelled
VET_S = 60  # the same while the pictures of a question are decoded
DEAD_AFTER_S = 3  # without a heartbeat, after which a worker gets no new questions
KEEP_S = 600  # that the record and events of a job stay after its end,
KEEP_BYTES = 8192  # of an answer; one twice as large stays half as long,
LEAST_KEEP_S = 60  # but so long: or a few busy minutes would fill the broker
BATCH_S = 60  # added to the score of batch jobs
MOST_PAUSE_S = 50  # after a refusal: OpenAI's clients ignore a Retry-After above 60 s
LEAST_SPACING_S = 0.5  # of refused clients: reading a question and a picture takes less
MOST_DEATHS = 2  # of workers by one content, after which it is refused
MOST_GUILT = 3  # deaths of workers that computed only jobs of one caller
QUARANTINE_S = 600  # after the latest death, when these counts are forgotten
SWITCH_S = 900  # without news of a switch: no model loads longer than 600 s
KEEP_USAGE_S = 400 * 86_400  # that the usage of a day is kept


def state_of(outcome: Terminal) -> State:
    """The state that an outcome ends a job in."""
    if not isinstance(outcome, Failed):
        return "finished"
    if outcome.code == "cancelled":
        return "cancelled"
    return "expired" if outcome.code == "deadline_exceeded" else "failed"


def labels_of(outcome: Terminal) -> tuple[State, str]:
    """State and code of an outcome, as metrics label it.

    The code is one of `edge.errors`, whatever came over the wire: each new value of a
    label is a new series for ever.
    """
    code = outcome.error.code if isinstance(outcome, Failed) else ""
    return state_of(outcome), code


@dataclass(frozen=True)
class JobRecord:
    """A job's record at one moment. `created` is in seconds since 1970; its answer may
    hold calls if it `has_tools`; `outcome` is the terminal event as JSON, None until
    the job has ended."""

    state: State
    attempt: int
    pool: str
    owner: str
    model: str
    created: float
    has_tools: bool
    outcome: str | None
