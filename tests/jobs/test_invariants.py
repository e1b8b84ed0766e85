"""What is always true of jobs, in any order of events."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import EdgeError, EngineError
from edge.events import Failed, Retried, Started, Terminal, Token, from_json
from edge.jobs import keys, reconcile
from edge.jobs.worker_side import LATER, Claim
from edge.redis_clients import sync_client
from tests.jobs.jobs_harness import FINISHED, POOL, JobsHarness

pytestmark = pytest.mark.redis

OWNERS, CONTENTS = ("me", "you"), ("safe", "deadly", "none")
N_JOBS = 6
STOPPED = Failed("shutting_down", "The server was stopped.")

which = st.integers(0, 8)
switch = st.booleans()
asks = st.tuples(
    st.just("ask"),
    st.sampled_from(OWNERS),
    st.sampled_from(CONTENTS),
    switch,
    switch,
    st.sampled_from(["", "", "key"]),
    switch,
)
befall = st.tuples(
    st.sampled_from(["check", "cancel", "refuse", "forget", "expire"]), which
)
work = st.tuples(
    st.sampled_from(["start", "speak", "renew", "finish", "fail", "release"]), which
)
claims = st.tuples(st.just("claim"), switch)
deaths = st.tuples(st.sampled_from(["die", "kill", "kill"]), which)
ticks = st.tuples(st.just("tick"))
# What leads deep into a story has to happen more often than what ends it.
steps = st.one_of(asks, claims, claims, work, work, deaths, deaths, ticks, befall)
stories = st.tuples(
    st.lists(asks, min_size=1, max_size=4),
    st.lists(steps, min_size=8, max_size=25),
)


def is_closing(line: bytes) -> bool:
    return isinstance(from_json(line), Terminal | Retried)


class Story:
    """Jobs to which anything may happen."""

    def __init__(self, url: str) -> None:
        self.harness = JobsHarness(url)
        self.ids: list[str] = []
        self.queued: set[str] = set()
        self.claims: list[Claim] = []
        self.numbers: dict[tuple[str, int], int] = {}

    async def take(self, step: tuple) -> None:
        name, *given = step
        harness = self.harness
        match name:
            case "ask":
                await self._ask(*given)
            case "claim":
                claim = harness.worker.claim(may_be_suspect=given[0])
                assert given[0] is False or claim != LATER
                if isinstance(claim, Claim):
                    self.claims.append(claim)
            case "tick":
                await harness.reconciler.tick()
            case "check" | "cancel" | "refuse" | "forget" | "expire" if self.ids:
                await self._befall(name, self.ids[given[0] % len(self.ids)])
            case _ if self.claims:
                self._work(name, self.claims[-1 - given[0] % len(self.claims)])
                if name == "kill":
                    await harness.reconciler.tick()

    async def _admit(self, owner: str, **submission: object) -> str | None:
        try:
            job = await self.harness.admit(
                owner, n_jobs=N_JOBS, n_of_account=4, **submission
            )
        except EdgeError:
            return None
        if not job.is_new:
            assert job.job_id in self.ids
            return None
        assert job.job_id not in self.ids
        self.ids.append(job.job_id)
        return job.job_id

    async def _ask(
        self,
        owner: str,
        content: str,
        is_batch: bool,
        streams: bool,
        idempotency_key: str,
        shares: bool,
    ) -> None:
        job_id = await self._admit(
            owner,
            is_batch=is_batch,
            streams=streams,
            idempotency_key=idempotency_key,
            body_hash=content,
        )
        if job_id is None:
            return
        if content == "none":
            return  # its pictures are being decoded
        try:
            await self.harness.enqueue(job_id, content, shares=shares)
            self.queued.add(job_id)
        except EdgeError as quarantined:
            await self.harness.client.fail(job_id, quarantined)

    async def _befall(self, name: str, job_id: str) -> None:
        harness = self.harness
        if name == "check":
            harness.worker.accept(job_id, 475, 400, 500)
        elif name == "refuse":
            harness.worker.end_waiting(job_id, Failed.because(EngineError("no")))
        elif name == "cancel":
            await harness.client.cancel(job_id)
        elif await harness.state(job_id) in ("waiting", "running"):
            forgotten = {"watched": 1, "missed": 2}
            harness.set(job_id, **{"forget": forgotten, "expire": {"expires": 1}}[name])

    def _work(self, name: str, claim: Claim) -> None:
        """A claim may be stale; its worker cannot know."""
        harness, key = self.harness, keys.JOB(claim.job_id)
        before = harness.sync.hgetall(key)
        now = (before[b"state"].decode(), int(before[b"attempt"]))
        is_ours = now == ("running", claim.attempt)
        match name:
            case "start" | "speak":
                attempt = (claim.job_id, claim.attempt)
                number = self.numbers[attempt] = self.numbers.get(attempt, 0) + 1
                event = Started(475) if name == "start" else Token("a")
                assert harness.publisher.publish(*attempt, number, [event]) == is_ours
            case "renew":
                is_watched = before[b"kept"] == b"1" or before[b"watched"] != b"1"
                assert harness.worker.renew(claim) == (is_ours and is_watched)
            case "finish":
                assert harness.worker.end(claim, FINISHED) == is_ours
                assert not (is_ours and self._is_awaited(before.get(b"shares")))
            case "fail":
                assert (
                    harness.worker.end(claim, Failed("engine_error", "no")) == is_ours
                )
            case "release":
                harness.worker.release(claim, STOPPED)
                assert (harness.sync.hgetall(key) != before) == is_ours
            case "die" | "kill":
                if harness.sync.zscore(keys.RUNNING(POOL), claim.job_id):
                    harness.lose(claim)

    def _is_awaited(self, name: bytes | None) -> bool:
        """Whether a waiting job shares its answer under `name`."""
        fields = ("state", "shares")
        records = map(keys.JOB, self.ids)
        jobs = [self.harness.sync.hmget(key, fields) for key in records]
        return bool(name) and [b"waiting", name] in jobs

    def check(self) -> None:
        """What is always true."""
        zsets = [keys.LIVE(POOL), keys.WAITING(POOL), keys.RUNNING(POOL)]
        zsets += [keys.ACCOUNT(owner) for owner in OWNERS]
        zsets += [keys.ADDRESS(owner) for owner in OWNERS]
        with self.harness.sync.pipeline() as together:
            for key in zsets:
                together.zrange(key, 0, -1)
            for job_id in self.ids:
                together.hgetall(keys.JOB(job_id))
            found = together.execute()
        live, waiting, running, *theirs = (
            {member.decode() for member in members} for members in found[: len(zsets)]
        )
        jobs = dict(zip(self.ids, found[len(zsets) :], strict=True))
        states = {job_id: job[b"state"].decode() for job_id, job in jobs.items()}
        unended = {i for i, state in states.items() if state in ("waiting", "running")}
        assert unended == {i for i, job in jobs.items() if b"outcome" not in job}
        assert live == unended
        assert running == {i for i in unended if states[i] == "running"}
        assert waiting == {i for i in self.queued & unended if states[i] == "waiting"}
        for owner, ids in zip((*OWNERS, *OWNERS), theirs, strict=True):
            assert ids == {i for i in unended if jobs[i][b"owner"].decode() == owner}
        assert len(live) <= N_JOBS
        self._check_streams(jobs)

    def _check_streams(self, jobs: dict[str, dict[bytes, bytes]]) -> None:
        """One terminal event, that of the record; none after a closing one."""
        attempts = [
            (job_id, attempt)
            for job_id, job in jobs.items()
            for attempt in range(1, int(job[b"attempt"]) + 2)
        ]
        with self.harness.sync.pipeline() as together:
            for job_id, attempt in attempts:
                together.xrange(keys.EVENTS(job_id, attempt))
            streams = dict(zip(attempts, together.execute(), strict=True))
        ends: dict[str, list[bytes]] = {job_id: [] for job_id in jobs}
        for (job_id, attempt), entries in streams.items():
            lines = [fields[b"event"] for _, fields in entries]
            closing = [n for n, line in enumerate(lines) if is_closing(line)]
            assert closing in ([], [len(lines) - 1])
            job = jobs[job_id]
            if job[b"state"] == b"running":
                assert bool(closing) == (attempt < int(job[b"attempt"]))
            elif attempt <= int(job[b"attempt"]):
                assert closing, f"attempt {attempt} is heard though it was given up"
            ends[job_id] += [lines[n] for n in closing if b"retried" not in lines[n]]
        for job_id, job in jobs.items():
            assert ends[job_id] == ([job[b"outcome"]] if b"outcome" in job else [])

    async def end(self) -> None:
        """Everything can still end."""
        for _ in range(3 * len(self.ids)):
            claim = self.harness.worker.claim()
            if claim is None:
                break
            assert isinstance(claim, Claim)
            self.harness.worker.end(claim, FINISHED)
        for job_id in self.ids:
            await self.harness.client.cancel(job_id)
        self.check()
        assert self.harness.n_live() == 0
        assert not self.harness.sync.keys(keys.PICTURES("*"))
        for job_id in self.ids:
            events = await self.harness.events(job_id)
            assert [isinstance(event, Terminal) for event in events].count(True) == 1


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=stories)
async def test_every_job_ends_once_in_any_story(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, story: tuple[list, list]
) -> None:
    monkeypatch.setattr(reconcile, "LEASE_S", -1)
    with sync_client(redis_url) as client:
        client.flushall()
    one = Story(redis_url)
    try:
        for step in (*story[0], *story[1]):
            await one.take(step)
            one.check()
        await one.end()
    finally:
        await one.harness.close()
