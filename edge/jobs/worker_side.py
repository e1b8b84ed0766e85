"""What a worker does to jobs: check, claim, renew, give up, end. Synchronous, for its
threads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal, cast

import redis

from edge.events import Accepted, Failed, Terminal, to_json
from edge.images import Picture
from edge.jobs import keys
from edge.jobs.estimate import Pace, Size
from edge.jobs.pictures import get_pictures
from edge.jobs.queue import queue_of
from edge.jobs.record import state_of
from edge.jobs.scripts import Scripts, named
from edge.request import Answer, Request

LATER: Literal["later"] = "later"


@dataclass(frozen=True)
class Unchecked:
    """A waiting job that the preflight check has not seen."""

    job_id: str
    request: Request


@dataclass(frozen=True)
class Claim:
    """A job that this worker runs, with `seconds_left` until its deadline. A suspect, a
    possible cause of a worker's death, runs alone."""

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

    def unchecked(self, timeout_s: float) -> Unchecked | None:
        """A new job for the preflight check; None when none comes in time."""
        queues = [keys.UNCHECKED(self._pool)]
        while popped := self._broker.brpop(queues, timeout=timeout_s):
            job_id = cast("tuple[bytes, bytes]", popped)[1].decode()
            if text := self._broker.hget(keys.JOB(job_id), "request"):
                request = Request.from_json(json.loads(cast(bytes, text)))
                return Unchecked(job_id, request)
        return None

    def is_waiting(self, job_id: str) -> bool:
        """Whether a job has neither been claimed nor ended."""
        return self._broker.hget(keys.JOB(job_id), "state") == b"waiting"

    def waiting(self) -> list[str]:
        """The ids of all jobs that wait in the queue."""
        found = self._broker.zrange(keys.WAITING(self._pool), 0, -1)
        return [job_id.decode() for job_id in cast("list[bytes]", found)]

    def waiting_among(self, job_ids: list[str]) -> set[str]:
        """Those of these jobs that have neither been claimed nor ended."""
        with self._broker.pipeline(transaction=False) as together:
            for job_id in job_ids:
                together.hget(keys.JOB(job_id), "state")
            states = together.execute()
        jobs = zip(job_ids, states, strict=True)
        return {job_id for job_id, state in jobs if state == b"waiting"}

    def accept(
        self,
        job_id: str,
        prompt_tokens: int,
        image_tokens: int,
        encode_tokens: float,
    ) -> None:
        """Records that a job fits, and its size."""
        self._scripts(
            "checked",
            job_id=job_id,
            prompt_tokens=prompt_tokens,
            image_tokens=image_tokens,
            encode_tokens=encode_tokens,
            event=to_json(Accepted(prompt_tokens, image_tokens)),
        )

    def end_waiting(self, job_id: str, outcome: Terminal) -> bool:
        """Ends a job that need not or cannot run; False when it has ended already."""
        return self._end(job_id, None, outcome)

    def end_all_waiting(self, outcome: Terminal) -> None:
        """Ends the jobs that wait in the queue, for which no worker will come."""
        for job_id in self.waiting():
            self.end_waiting(job_id, outcome)

    def claim(
        self, *, may_be_suspect: bool = True, name: str | None = None
    ) -> Claim | Literal["later"] | None:
        """Takes the first job of the queue; None when none waits, LATER when that one
        has to run alone and `may_be_suspect` is false. Under the same `name` it is
        given the same job, until that ends."""
        found = self._scripts(
            "claim", pool=self._pool, may_be_suspect=may_be_suspect, name=name
        )
        if found is None:
            return None
        if found == LATER.encode():
            return LATER
        reply = named(found)
        return Claim(
            job_id=reply["job_id"],
            attempt=int(reply["attempt"]),
            request=Request.from_json(json.loads(reply["request"])),
            seconds_left=float(reply["seconds_left"]),
            is_suspect=reply["is_suspect"] == "1",
        )

    def n_called(self) -> int:
        """How many messages lie in the queue."""
        return self._broker.llen(queue_of(self._pool))

    def pictures(self, claim: Claim) -> dict[str, Picture]:
        """The job's pictures by sha256. Raises Unavailable when one is gone,
        EngineError when its pixels do not match its name."""
        return get_pictures(self._broker, claim.job_id, claim.request.pictures)

    def renew(self, claim: Claim) -> bool:
        """Renews the lease; False when this attempt does not run any more, or no client
        waits for its answer."""
        return bool(self._scripts("renew", job_id=claim.job_id, attempt=claim.attempt))

    def release(self, claim: Claim, outcome: Failed) -> None:
        """Gives a running job up for another worker; a job whose client has been shown
        text that cannot be taken back ends with `outcome`."""
        self._scripts(
            "release",
            job_id=claim.job_id,
            attempt=claim.attempt,
            outcome=to_json(outcome),
        )

    def end(self, claim: Claim, outcome: Terminal) -> bool:
        """Ends the job and tells its followers; False when it has ended already."""
        return self._end(claim.job_id, claim.attempt, outcome)

    def _end(self, job_id: str, attempt: int | None, outcome: Terminal) -> bool:
        has_ended = self._scripts(
            "end",
            job_id=job_id,
            attempt=attempt,
            state=state_of(outcome),
            outcome=to_json(outcome),
        )
        return bool(has_ended)

    def guess_pace(self, size: Size, answer: Answer) -> None:
        """Begins with a pace by a small question, unless one was learned before."""
        guess = Pace.guess(size, answer)
        self._broker.set(keys.PACE(self._pool), guess.to_json(), nx=True)

    def learn(self, size: Size, answer: Answer, seconds: float) -> None:
        """Updates the pace of the pool by a job that took `seconds`. Of two workers
        that do so at once the later counts: it is a running mean."""
        key = keys.PACE(self._pool)
        pace = Pace.read(cast("bytes | None", self._broker.get(key)))
        self._broker.set(key, pace.updated(size, answer, seconds).to_json())
