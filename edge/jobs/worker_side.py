"""What a worker does to jobs: check, claim, renew, give up, end. Synchronous, for its
threads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal, cast

import redis

from edge.events import Accepted, Failed, Terminal, to_json
from edge.images import Picture
from edge.jobs import record
from edge.jobs.estimate import Pace
from edge.jobs.pictures import get_pictures
from edge.jobs.queue import queue_of
from edge.jobs.scripts import Scripts
from edge.request import Answer, Request

LATER: Literal["later"] = "later"


@dataclass(frozen=True)
class Claim:
    """A job that is ours to run, for `seconds_left` until its deadline; a suspect, of
    which a worker may have died, alone."""

    job_id: str
    attempt: int
    request: Request
    seconds_left: float
    is_suspect: bool


class WorkerJobs:
    """The jobs of `pool` as one of its workers sees them."""

    def __init__(self, broker: redis.Redis, pool: str) -> None:
        self._broker = broker
        self._pool = pool
        self._scripts = Scripts(broker)

    def unchecked(self, timeout_s: float) -> tuple[str, Request] | None:
        """A new job that nobody has checked yet; None when none comes in time."""
        keys = [record.unchecked_key(self._pool)]
        while popped := self._broker.brpop(keys, timeout=timeout_s):
            job_id = cast("tuple[bytes, bytes]", popped)[1].decode()
            if text := self._broker.hget(record.job_key(job_id), "request"):
                return job_id, Request.from_json(json.loads(cast(bytes, text)))
        return None

    def is_waiting(self, job_id: str) -> bool:
        """Whether a job has neither been claimed nor ended."""
        return self._broker.hget(record.job_key(job_id), "state") == b"waiting"

    def accept(self, job_id: str, prompt_tokens: int, image_tokens: int) -> None:
        """Tells that a job fits, and how large it is."""
        event = to_json(Accepted(prompt_tokens))
        self._scripts("checked", job_id, prompt_tokens, image_tokens, event)

    def refuse(self, job_id: str, outcome: Failed) -> bool:
        """Ends a job that can never be run; False when it has ended already."""
        return self._end(job_id, "", outcome)

    def claim(self, *, may_be_suspect: bool = True) -> Claim | Literal["later"] | None:
        """Takes the job whose turn it is; None when none waits, LATER when that one
        has to run alone and `may_be_suspect` is false."""
        taken = self._scripts("claim", self._pool, int(may_be_suspect))
        if taken is None:
            return None
        if taken == LATER.encode():
            return LATER
        job_id, attempt, request, seconds_left, is_suspect = taken
        return Claim(
            job_id.decode(),
            attempt,
            Request.from_json(json.loads(request)),
            float(seconds_left),
            bool(is_suspect),
        )

    def n_called(self) -> int:
        """How many messages lie in the queue."""
        return self._broker.llen(queue_of(self._pool))

    def pictures(self, claim: Claim) -> dict[str, Picture]:
        """The pixels of the job's pictures by sha256."""
        return get_pictures(self._broker, claim.job_id, claim.request.pictures)

    def renew(self, claim: Claim) -> bool:
        """Keeps the lease; False when the job is no longer ours to run, or nobody
        waits for its answer."""
        return bool(self._scripts("renew", claim.job_id, claim.attempt))

    def release(self, claim: Claim, outcome: Failed) -> None:
        """Gives a running job up, for another worker or for later; one whose client
        has been shown text that cannot be taken back ends with `outcome`."""
        self._scripts("release", claim.job_id, claim.attempt, to_json(outcome))

    def end(self, claim: Claim, outcome: Terminal) -> bool:
        """Ends the job and tells its followers; False when it has ended already."""
        return self._end(claim.job_id, claim.attempt, outcome)

    def _end(self, job_id: str, attempt: int | str, outcome: Terminal) -> bool:
        state, line = record.state_of(outcome), to_json(outcome)
        return bool(self._scripts("end", job_id, attempt, state, line))

    def learn(self, image_tokens: int, answer: Answer, seconds: float) -> None:
        """Lets the pace of the pool follow an answer that took so long. Of two workers
        that do so at once the later counts: it is a running mean."""
        key = record.pace_key(self._pool)
        pace = Pace.read(cast("bytes | None", self._broker.get(key)))
        self._broker.set(key, pace.learnt(image_tokens, answer, seconds).to_json())
