"""Both sides of the jobs of one pool, in one real Redis."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import redis

from edge.caller import ANONYMOUS, Caller
from edge.events import Event, Failed, Finished
from edge.images import Picture
from edge.jobs import keys, scripts
from edge.jobs.channel import RedisFollower, RedisPublisher
from edge.jobs.client_side import ClientJobs
from edge.jobs.fleet import FLEET, Heart, WorkerInfo
from edge.jobs.reconcile import Reconciler
from edge.jobs.submission import Admitted, Bounds, Submission
from edge.jobs.worker_side import Claim, WorkerJobs
from edge.redis_clients import async_client, sync_client
from edge.request import Answer, Message, Request, SamplingParams
from tests.conftest import patient_redis

WORKER = WorkerInfo("host-1", "tiny", "f" * 64, "stub", n_slots=4)
POOL = WORKER.pool
BOUNDS = Bounds(4, n_jobs=100, n_of_account=100, n_of_address=100, deadline_s=60)
PICTURE = Picture(2, 1, b"\1\2\3\4\5\6")
PATIENCE_S = 300  # within which no machine is late
FINISHED = Finished(Answer("a dog", "stop"))


def question(text: str = "what?", max_tokens: int = 512) -> Request:
    message = Message("user", (PICTURE.ref, text))
    return Request((message,), SamplingParams(max_tokens=max_tokens), model="tiny")


def caller(name: str, address: str = "", tenant: str = ANONYMOUS) -> Caller:
    """A caller with a scope and, by default, an address of its own."""
    return Caller(tenant, name, address or name, name)


def new_ids(n: int = 1) -> list[str]:
    return [secrets.token_hex(16) for _ in range(n)]


@contextmanager
def patient() -> Iterator[None]:
    """Nothing that has to be done in time, such as a renewal, is late on a machine that
    has too much to do."""
    limits = ("LEASE_S", "WATCH_S", "MISS_S", "DEAD_AFTER_S")
    with pytest.MonkeyPatch.context() as patch, patient_redis():
        for limit in limits:
            patch.setitem(scripts._NUMBERS, limit, PATIENCE_S)
        scripts._source.cache_clear()
        yield
    scripts._source.cache_clear()


async def young_minute(seconds: float = 20.0) -> None:
    """Returns when the current minute, a window of quotas, has `seconds` left."""
    if (left := 60 - time.time() % 60) < seconds:
        await asyncio.sleep(left + 0.1)


def undocumented_keys(broker: redis.Redis) -> list[str]:
    """Keys with their types, and fields of job records, that the table lacks."""
    found = []
    job_fields = set(re.findall(r"(\w+)(?:,|$| \()", keys.JOB.fields))
    for name in broker.scan_iter():
        key, kind = name.decode(), broker.type(name).decode()
        if kind == "none":  # it has expired meanwhile
            continue
        if not any(row.matches(key) and row.type == kind for row in keys.table()):
            found.append(f"{key} {kind}")
        elif keys.JOB.matches(key):
            fields = {field.decode() for field in broker.hkeys(name)}
            found += [f"{key} {f}" for f in fields - job_fields]
    return sorted(found)


class JobsHarness:
    """A web process, a worker and a reconciler. A question's text is its content too,
    unless `content` is given."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sync, self.asynchronous = sync_client(url), async_client(url)
        self.publisher = RedisPublisher(self.sync)
        self.follower = RedisFollower(self.asynchronous)
        self.worker = WorkerJobs(self.sync, POOL)
        self.client = ClientJobs(self.asynchronous, self.follower)
        self.calls: list[str] = []
        self.reconciler = Reconciler(self.asynchronous, self.call)

    async def call(self, pool: str) -> None:
        self.calls.append(pool)

    async def close(self) -> None:
        try:
            assert undocumented_keys(self.sync) == []
        finally:
            self.sync.close()
            await self.asynchronous.aclose()

    # --- the client's part

    async def admit(self, owner: str = "me", **given: Any) -> Admitted:
        """`given` are fields of the bounds or of the submission, or an address."""
        bounds = {name: given.pop(name) for name in vars(BOUNDS) if name in given}
        submission = Submission(caller(owner, given.pop("address", owner)), **given)
        return await self.client.admit(
            new_ids(submission.n_computed),
            submission,
            POOL,
            "tiny",
            replace(BOUNDS, **bounds),
        )

    async def enqueue(
        self,
        job_id: str,
        text: str = "what?",
        *,
        content: str = "",
        pictures: Iterable[Picture] = (PICTURE,),
        max_tokens: int = 512,
        shares: bool = False,
    ) -> None:
        what = (question(text, max_tokens), content or text, pictures, POOL, BOUNDS)
        name = f"shared {content or text}" if shares else ""
        await self.client.enqueue(job_id, *what, shares=name)

    async def ask(self, owner: str = "me", text: str = "what?", **given: Any) -> str:
        """The id of a job that waits."""
        job = await self.admit(owner, **given)
        await self.enqueue(job.job_id, text)
        return job.job_id

    async def state(self, job_id: str) -> str | None:
        job = await self.client.look(job_id)
        return job and job.state

    async def events(self, job_id: str) -> list[Event]:
        """All of a job that ends soon."""
        async with asyncio.timeout(60):
            events = self.client.follow(job_id)
            return [event async for event in events if event is not None]

    async def failure(self, job_id: str) -> str:
        """The code that a job fails with."""
        last = (await self.events(job_id))[-1]
        assert isinstance(last, Failed)
        return last.code

    # --- the worker's part

    def claim(self, name: str | None = None) -> Claim:
        """The next job; there must be one."""
        claim = self.worker.claim(name=name)
        assert isinstance(claim, Claim), claim
        return claim

    def beat(self, n_slots: int) -> None:
        """A worker with `n_slots` is alive for the whole test."""
        Heart(self.sync, replace(WORKER, n_slots=n_slots)).beat()
        self.sync.zincrby(FLEET, 600, WORKER.name)

    def order(self) -> list[str]:
        """Claims all waiting jobs: their ids, in order."""
        return [claim.job_id for claim in iter(self.worker.claim, None)]

    # --- what happens to them

    def set(self, job_id: str, **fields: float) -> None:
        """Writes into the record, instead of waiting."""
        self.sync.hset(keys.JOB(job_id), mapping=fields)

    def suspect(self, job_id: str) -> None:
        """A worker has died of this job's content."""
        self.sync.hset(keys.JOB(job_id), "content", "deadly")
        self.sync.set(keys.DEATHS("deadly"), 1)

    def forget(self, job_id: str) -> None:
        """No client has watched it for too long."""
        self.set(job_id, watched=1, missed=2)

    def lose(self, claim: Claim) -> None:
        """Its worker has not renewed its lease in time."""
        self.sync.zadd(keys.RUNNING(POOL), {claim.job_id: 1})

    def n_live(self) -> int:
        return self.sync.zcard(keys.LIVE(POOL))
