"""Equal questions at once: waiting jobs share the answer of the first."""

from __future__ import annotations

import pytest

from edge.events import Failed, Retried
from edge.jobs import keys
from tests.jobs.jobs_harness import FINISHED, POOL, JobsHarness

pytestmark = pytest.mark.redis


async def ask(harness: JobsHarness, text: str = "what?", *, shares: bool = True) -> str:
    job = await harness.admit()
    await harness.enqueue(job.job_id, text, shares=shares)
    return job.job_id


async def test_waiting_jobs_with_the_same_question_get_its_answer(
    harness: JobsHarness,
) -> None:
    [first, *others] = [await ask(harness) for _ in range(4)]
    claim = harness.claim()
    assert claim.job_id == first
    assert harness.worker.end(claim, FINISHED)
    for job_id in others:
        assert await harness.state(job_id) == "finished"
        assert await harness.events(job_id) == [FINISHED]
        assert not harness.sync.exists(keys.PICTURES(job_id))
    assert harness.worker.claim() is None
    assert harness.n_live() == 0


async def test_another_question_waits_on(harness: JobsHarness) -> None:
    await ask(harness)
    other = await ask(harness, "and where?")
    harness.worker.end(harness.claim(), FINISHED)
    assert harness.claim().job_id == other


async def test_an_unshared_question_gets_its_own_answer(harness: JobsHarness) -> None:
    """Drawn by chance, or with the cache turned off."""
    await ask(harness, shares=False)
    own = await ask(harness, shares=False)
    harness.worker.end(harness.claim(), FINISHED)
    assert harness.claim().job_id == own


async def test_running_jobs_do_not_share(
    harness: JobsHarness,
) -> None:
    await ask(harness)
    second = await ask(harness)
    first, theirs = harness.claim(), harness.claim()
    harness.worker.end(first, FINISHED)
    assert await harness.state(second) == "running"
    assert harness.worker.renew(theirs)
    assert harness.worker.end(theirs, FINISHED)


@pytest.mark.parametrize("code", ["engine_error", "cancelled", "deadline_exceeded"])
async def test_only_an_answer_is_shared(harness: JobsHarness, code: str) -> None:
    await ask(harness)
    second = await ask(harness)
    harness.worker.end(harness.claim(), Failed(code, "No."))
    assert harness.claim().job_id == second


async def test_a_retried_job_shares_too(harness: JobsHarness) -> None:
    again = await ask(harness)
    harness.worker.release(harness.claim(), Failed("shutting_down", "Bye."))
    harness.sync.zincrby(keys.WAITING(POOL), 60, again)
    await ask(harness)
    harness.worker.end(harness.claim(), FINISHED)
    assert await harness.events(again) == [Retried(), FINISHED]
