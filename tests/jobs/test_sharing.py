"""Many ask the same at once: who still waits when the answer comes is given it."""

from __future__ import annotations

import pytest

from edge.events import Failed, Retried
from edge.jobs import record
from tests.jobs.desk import FINISHED, POOL, Desk

pytestmark = pytest.mark.redis


async def ask(desk: Desk, text: str = "what?", *, shares: bool = True) -> str:
    job = await desk.admit()
    await desk.enqueue(job.job_id, text, shares=shares)
    return job.job_id


async def test_whoever_waits_with_the_same_question_has_its_answer(desk: Desk) -> None:
    [first, *others] = [await ask(desk) for _ in range(4)]
    claim = desk.claim()
    assert claim.job_id == first
    assert desk.worker.end(claim, FINISHED)
    for job_id in others:
        assert await desk.state(job_id) == "finished"
        assert await desk.events(job_id) == [FINISHED]
        assert not desk.sync.exists(record.pictures_key(job_id))
    assert desk.worker.claim() is None
    assert desk.n_live() == 0


async def test_another_question_waits_on(desk: Desk) -> None:
    await ask(desk)
    other = await ask(desk, "and where?")
    desk.worker.end(desk.claim(), FINISHED)
    assert desk.claim().job_id == other


async def test_who_wants_an_answer_of_their_own_gets_one(desk: Desk) -> None:
    """Drawn by chance, or with the cache turned off."""
    await ask(desk, shares=False)
    own = await ask(desk, shares=False)
    desk.worker.end(desk.claim(), FINISHED)
    assert desk.claim().job_id == own


async def test_who_is_being_answered_already_is_left_alone(desk: Desk) -> None:
    await ask(desk)
    second = await ask(desk)
    first, theirs = desk.claim(), desk.claim()
    desk.worker.end(first, FINISHED)
    assert await desk.state(second) == "running"
    assert desk.worker.renew(theirs)
    assert desk.worker.end(theirs, FINISHED)


@pytest.mark.parametrize("code", ["engine_error", "cancelled", "deadline_exceeded"])
async def test_only_an_answer_is_shared(desk: Desk, code: str) -> None:
    await ask(desk)
    second = await ask(desk)
    desk.worker.end(desk.claim(), Failed(code, "No."))
    assert desk.claim().job_id == second


async def test_who_waits_again_hears_of_it_too(desk: Desk) -> None:
    again = await ask(desk)
    desk.worker.release(desk.claim(), Failed("shutting_down", "Bye."))
    desk.sync.zincrby(record.waiting_key(POOL), 60, again)
    await ask(desk)
    desk.worker.end(desk.claim(), FINISHED)
    assert await desk.events(again) == [Retried(), FINISHED]
