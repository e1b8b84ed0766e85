"""Callers whose jobs kill workers are refused after a few deaths."""

from __future__ import annotations

from typing import Any

import pytest

from edge.errors import RequestQuarantined
from edge.events import Failed
from edge.jobs import keys, record
from edge.jobs.client_side import ClientJobs
from edge.jobs.submission import Submission
from edge.jobs.worker_side import LATER
from edge.request import Message, Request, SamplingParams
from tests.jobs.jobs_harness import (
    BOUNDS,
    FINISHED,
    POOL,
    JobsHarness,
    caller,
    new_ids,
)

pytestmark = pytest.mark.redis


async def die(harness: JobsHarness) -> None:
    """The worker dies with all jobs that it computes."""
    for job_id in harness.sync.zrange(keys.RUNNING(POOL), 0, -1):
        harness.sync.zadd(keys.RUNNING(POOL), {job_id: 1})
    await harness.reconciler.tick()


@pytest.mark.parametrize("varies", ["name", "neither"])
async def test_seven_deadly_questions_cause_three_deaths(
    harness: JobsHarness, varies: str
) -> None:
    """Each has another text, so that no quarantine by content helps, and perhaps
    another caller, which costs nothing; but they come from one address."""
    n_deaths = n_refused = 0
    for n in range(7):
        name = f"name {n}" if varies == "name" else "me"
        try:
            await harness.ask(name, f"deadly {n}", address="10.0.0.1")
        except RequestQuarantined:
            n_refused += 1
            continue
        while harness.worker.claim() not in (None, LATER):
            n_deaths += 1
            await die(harness)
    assert n_deaths == record.MOST_GUILT
    assert n_refused == 5
    await harness.ask("victim", address="10.0.0.2")
    assert harness.claim()


async def test_a_guilty_client_runs_alone(
    harness: JobsHarness,
) -> None:
    await harness.ask("guilty", "deadly", address="10.0.0.1")
    harness.claim()
    await die(harness)
    await harness.client.cancel(harness.order()[0])
    await harness.ask("victim", address="10.0.0.2")
    victim = harness.claim()
    await harness.ask("another name", "new text", address="10.0.0.1")
    assert harness.worker.claim(may_be_suspect=False) == LATER
    harness.worker.end(victim, FINISHED)
    assert harness.claim().is_suspect


async def test_jobs_that_ran_side_by_side_are_not_guilty(harness: JobsHarness) -> None:
    for name in ("one", "two"):
        await harness.ask(name, name)
    claims = [harness.claim(), harness.claim()]
    await die(harness)
    assert harness.sync.keys(keys.GUILT("*")) == []
    assert {claim.job_id for claim in claims} == {
        job_id.decode() for job_id in harness.sync.zrange(keys.WAITING(POOL), 0, -1)
    }


async def test_a_tenant_is_guilty_by_its_key_and_not_by_its_address(
    harness: JobsHarness,
) -> None:
    async def ask(tenant: str, text: str) -> Any:
        who = caller(tenant, "10.0.0.1", tenant)
        job = await harness.client.admit(
            new_ids(), Submission(who), POOL, "tiny", BOUNDS
        )
        await harness.enqueue(job.job_id, text)

    for n in range(record.MOST_GUILT):
        await ask("guilty", f"deadly {n}")
        harness.claim()
        await die(harness)
        for job_id in harness.order():
            await harness.client.cancel(job_id)
    with pytest.raises(RequestQuarantined):
        await ask("guilty", "harmless")
    await ask("neighbour", "harmless")


@pytest.mark.parametrize("is_own", [False, True])
async def test_a_schema_is_quarantined_with_any_text(
    harness: JobsHarness, *, is_own: bool
) -> None:
    """But not the server's own, by which anybody could refuse everybody's."""
    sampling = SamplingParams(grammar='{"pattern": "deadly"}')
    if is_own:
        harness.client = ClientJobs(
            harness.asynchronous, harness.follower, sampling.grammar
        )

    async def ask(text: str) -> str:
        job = await harness.admit(text)
        request = Request((Message("user", (text,)),), sampling)
        await harness.client.enqueue(job.job_id, request, text, (), POOL, BOUNDS)
        return job.job_id

    for n in range(record.MOST_DEATHS):
        job_id = await ask(f"text {n}")
        harness.claim()
        await die(harness)
        await harness.client.end(job_id, Failed("cancelled", "x"))
    if is_own:
        await ask("another text")
        return
    with pytest.raises(RequestQuarantined):
        await ask("another text")
