"""What a worker does to jobs: claim, renew, end. Synchronous, for its threads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import cast

import redis

from edge.events import Terminal, to_json
from edge.images import Picture
from edge.jobs import record
from edge.jobs.channel import Publisher
from edge.jobs.pictures import get_pictures
from edge.request import Request


@dataclass(frozen=True)
class Claim:
    """A job that is ours to run, for `seconds_left` until its deadline."""

    job_id: str
    attempt: int
    request: Request
    seconds_left: int


class WorkerJobs:
    """Job records as a worker sees them."""

    def __init__(self, broker: redis.Redis, channel: Publisher) -> None:
        self._broker = broker
        self._channel = channel
        self._claim = broker.register_script(record.CLAIM)
        self._renew = broker.register_script(record.RENEW)
        self._end = broker.register_script(record.END)

    def claim(self, job_id: str) -> Claim | None:
        """Takes a waiting job; None when it was taken, cancelled or forgotten."""
        keys = [record.job_key(job_id), record.WAITING]
        taken = self._claim(keys=keys, args=[job_id, record.LEASE_S])
        if taken is None:
            return None
        attempt, request, seconds_left = cast("tuple[int, bytes, int]", taken)
        parsed = Request.from_json(json.loads(request))
        return Claim(job_id, attempt, parsed, seconds_left)

    def pictures(self, claim: Claim) -> dict[str, Picture]:
        """The pixels of the job's pictures by sha256."""
        return get_pictures(self._broker, claim.job_id, claim.request.pictures)

    def renew(self, claim: Claim) -> bool:
        """Keeps the lease; False when the job is no longer ours to run."""
        keys = [record.job_key(claim.job_id)]
        return bool(self._renew(keys=keys, args=[claim.attempt, record.LEASE_S]))

    def end(self, claim: Claim, outcome: Terminal) -> bool:
        """Ends the job and tells its followers; False when it has ended already."""
        ended = self._end(
            keys=record.job_keys(claim.job_id),
            args=[
                claim.job_id,
                claim.attempt,
                record.state_of(outcome),
                to_json(outcome),
                record.KEEP_S,
            ],
        )
        if not ended:
            return False
        self._channel.publish(claim.job_id, claim.attempt, outcome)
        return True
