"""Admission: bounded in all and for each client, and once for each idempotency key."""

from __future__ import annotations

import asyncio
import time

import pytest

from edge.errors import ClientLimit, EngineError, KeyReused, QueueFull, Unavailable
from edge.events import Failed
from edge.jobs import keys
from edge.jobs.estimate import Pace
from edge.jobs.submission import Admitted
from tests.jobs.jobs_harness import FINISHED, POOL, JobsHarness

pytestmark = pytest.mark.redis


async def test_an_admitted_job_is_new_and_created_now(harness: JobsHarness) -> None:
    before, _ = harness.sync.time()
    one, two = await harness.admit(), await harness.admit()
    after, _ = harness.sync.time()
    assert one.is_new and two.is_new
    assert one.job_id != two.job_id
    assert before <= one.created <= two.created < after + 1
    assert harness.n_live() == 2


async def test_forty_at_once_get_exactly_the_free_places(
    harness: JobsHarness,
) -> None:
    entries = (harness.admit(f"client {n}", n_jobs=5) for n in range(40))
    outcomes = await asyncio.gather(*entries, return_exceptions=True)
    admitted = [one for one in outcomes if isinstance(one, Admitted)]
    refused = [one for one in outcomes if type(one) is QueueFull]
    assert (len(admitted), len(refused)) == (5, 35)
    assert harness.n_live() == 5


async def test_forty_of_one_client_get_one_share(
    harness: JobsHarness,
) -> None:
    entries = (harness.admit(n_jobs=20, n_of_account=3) for _ in range(40))
    outcomes = await asyncio.gather(*entries, return_exceptions=True)
    assert sum(isinstance(one, Admitted) for one in outcomes) == 3
    assert sum(type(one) is ClientLimit for one in outcomes) == 37
    assert await harness.admit("another", n_jobs=20, n_of_account=3)


async def test_the_jobs_of_one_question_are_admitted_together(
    harness: JobsHarness,
) -> None:
    job = await harness.admit(n_jobs=4, n_computed=3)
    assert len(set(job.job_ids)) == 3
    assert {await harness.state(job_id) for job_id in job.job_ids} == {"waiting"}
    with pytest.raises(QueueFull):
        await harness.admit("other", n_jobs=4, n_computed=2)
    with pytest.raises(ClientLimit):
        await harness.admit(n_of_account=4, n_computed=2)
    assert harness.n_live() == 3
    assert (await harness.admit("other", n_jobs=4)).others == ()


async def test_a_refusal_names_the_limit(harness: JobsHarness) -> None:
    await harness.admit(n_jobs=1)
    with pytest.raises(QueueFull, match="All 1 places are taken") as full:
        await harness.admit("other", n_jobs=1)
    assert f"in {full.value.retry_after_s} seconds" in full.value.message
    with pytest.raises(ClientLimit, match="You have 1 unfinished question"):
        await harness.admit(n_of_account=1)


@pytest.mark.parametrize("ending", ["finish", "fail", "cancel", "expire"])
async def test_an_ended_job_frees_its_place(harness: JobsHarness, ending: str) -> None:
    only_one = {"n_jobs": 1, "n_of_account": 1}
    job_id = await harness.ask(**only_one)
    with pytest.raises(QueueFull):
        await harness.admit(**only_one)
    if ending == "cancel":
        await harness.client.cancel(job_id)
    elif ending == "expire":
        harness.set(job_id, expires=1)
        await harness.reconciler.tick()
    else:
        failed = Failed.because(EngineError("no"))
        harness.worker.end(harness.claim(), FINISHED if ending == "finish" else failed)
    assert await harness.admit(**only_one)


async def test_an_unused_place_becomes_free(harness: JobsHarness) -> None:
    """Its web process died while it decoded the pictures."""
    job = await harness.admit(n_jobs=1)
    harness.forget(job.job_id)
    await harness.reconciler.tick()
    assert await harness.admit(n_jobs=1)


async def test_limits_count_the_pool_but_all_jobs_of_the_client(
    harness: JobsHarness,
) -> None:
    await harness.admit()
    harness.sync.rename(keys.LIVE(POOL), keys.LIVE("other"))
    assert await harness.admit("another client", n_jobs=1)
    with pytest.raises(ClientLimit):
        await harness.admit(n_of_account=1)


async def test_jobs_that_redis_lost_hold_no_share(
    harness: JobsHarness,
) -> None:
    job = await harness.admit(n_of_account=1)
    harness.sync.zadd(keys.ACCOUNT("me"), {job.job_id: 1})  # long past its deadline
    assert await harness.admit(n_of_account=1)


# --- when to come back ------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [0, 1, 20, 10_000])
@pytest.mark.parametrize("n_slots", [0, 1, 4])
async def pauses(
    harness: JobsHarness, n: int, owner: str = "", **full: int
) -> list[int]:
    """In how many ms refused clients are told to return: one, or each for itself."""
    found = []
    for i in range(n):
        with pytest.raises(QueueFull) as refused:
            await harness.admit(owner or f"client {i}", **full or {"n_jobs": 0})
        assert refused.value.retry_after_ms is not None
        found.append(refused.value.retry_after_ms)
    return found


@pytest.mark.parametrize("owner", ["", "one of many"])
async def test_refused_clients_return_one_after_the_other(
    harness: JobsHarness, owner: str
) -> None:
    harness.sync.set(keys.PACE(POOL), Pace(job_s=4.0).to_json())  # a start each second
    began = time.monotonic()
    found = await pauses(harness, 30, owner)
    late_ms = 1000 * (time.monotonic() - began)
    for place, ms in enumerate(found, 1):
        assert 900 * place - late_ms < ms / 1.25 <= 1000 * (place + 1)
    assert len({ms % 1000 for ms in found}) > 15  # drawn at random


async def test_no_client_is_told_to_wait_longer_than_it_would(
    harness: JobsHarness,
) -> None:
    harness.sync.set(keys.PACE(POOL), Pace(job_s=1000.0).to_json())
    found = await pauses(harness, 20)
    assert all(500 <= ms <= 60_000 for ms in found)
    assert max(found) - min(found) > 1000


async def test_who_asks_too_early_postpones_only_itself(harness: JobsHarness) -> None:
    harness.sync.set(keys.PACE(POOL), Pace(job_s=4.0).to_json())
    await pauses(harness, 30, "rude")
    job = await harness.admit("rude")
    harness.sync.zincrby(keys.LIVE(POOL), 600, job.job_id)  # it stays young
    await pauses(harness, 10, "rude", n_of_account=1)
    [ms] = await pauses(harness, 1, "polite")
    assert ms < 4000


async def test_a_fresh_pool_has_a_pace_to_begin_with(harness: JobsHarness) -> None:
    [ms] = await pauses(harness, 1)
    assert 1500 < ms < 3200
    with pytest.raises(QueueFull, match=r"Try again in \d seconds?\."):
        await harness.admit("other", n_jobs=0)


# --- the same question again ------------------------------------------------------


async def test_an_equal_idempotency_key_is_the_same_job(
    harness: JobsHarness,
) -> None:
    first = await harness.admit(idempotency_key="key", body_hash="a")
    again = await harness.admit(
        idempotency_key="key", body_hash="a", n_jobs=1
    )  # though all is full
    assert (again.job_id, again.is_new) == (first.job_id, False)
    assert int(again.created) == int(first.created)
    assert harness.n_live() == 1


async def test_twenty_at_once_with_one_key_are_one_job(harness: JobsHarness) -> None:
    entries = (harness.admit(idempotency_key="key", body_hash="a") for _ in range(20))
    jobs = await asyncio.gather(*entries)
    assert len({job.job_id for job in jobs}) == 1
    assert sum(job.is_new for job in jobs) == 1


async def test_a_joined_job_says_whether_it_is_queued(harness: JobsHarness) -> None:
    again = {"idempotency_key": "key", "body_hash": "a"}
    first = await harness.admit(**again)
    assert not (await harness.admit(**again)).is_queued
    await harness.enqueue(first.job_id)
    assert (await harness.admit(**again)).is_queued
    harness.worker.end(harness.claim(), FINISHED)
    assert (await harness.admit(**again)).is_queued


async def test_a_job_is_queued_once(harness: JobsHarness) -> None:
    """Two web processes may prepare it; the first one puts it into the queue."""
    first = await harness.ask("me", "first")
    other = await harness.ask("you", "other")
    await harness.enqueue(first, "first")
    assert harness.order() == [first, other]
    await harness.enqueue(first, "first")  # it runs
    assert harness.order() == []


async def test_an_unqueued_job_of_another_model_is_not_joined(
    harness: JobsHarness,
) -> None:
    """All died and came back with another model, whose workers never see it."""
    again = {"idempotency_key": "key", "body_hash": "a"}
    first = await harness.admit(**again)
    harness.sync.hset(keys.JOB(first.job_id), "pool", "another")
    second = await harness.admit(**again)
    assert second.is_new and second.job_id != first.job_id
    assert await harness.state(first.job_id) == "cancelled"


async def test_another_question_never_ends_one_whose_pictures_are_read(
    harness: JobsHarness,
) -> None:
    first = await harness.admit(idempotency_key="key", body_hash="a")
    harness.sync.hset(keys.JOB(first.job_id), "pool", "another")
    with pytest.raises(KeyReused):
        await harness.admit(idempotency_key="key", body_hash="b")
    assert await harness.state(first.job_id) == "waiting"


async def test_pictures_of_a_job_that_has_ended_do_not_stay(
    harness: JobsHarness,
) -> None:
    """A second web process was still reading them."""
    job_id = await harness.ask()
    harness.worker.end(harness.claim(), FINISHED)
    await harness.enqueue(job_id)
    assert not harness.sync.exists(keys.PICTURES(job_id))


async def test_an_ended_job_is_joined_too(harness: JobsHarness) -> None:
    job_id = await harness.ask(idempotency_key="key", body_hash="a")
    harness.worker.end(harness.claim(), FINISHED)
    again = await harness.admit(idempotency_key="key", body_hash="a")
    assert (again.job_id, again.is_new) == (job_id, False)
    assert await harness.events(again.job_id) == [FINISHED]


async def test_another_question_with_the_same_key_is_refused(
    harness: JobsHarness,
) -> None:
    first = await harness.admit(idempotency_key="key", body_hash="a")
    with pytest.raises(KeyReused, match="Use a new one"):
        await harness.admit(idempotency_key="key", body_hash="b")
    assert harness.n_live() == 1
    assert (
        await harness.admit(idempotency_key="key", body_hash="a")
    ).job_id == first.job_id


async def test_another_client_with_the_same_key_does_not_join(
    harness: JobsHarness,
) -> None:
    mine = await harness.admit("me", idempotency_key="key", body_hash="a")
    yours = await harness.admit("you", idempotency_key="key", body_hash="a")
    assert yours.is_new
    assert yours.job_id != mine.job_id


async def test_questions_without_a_key_are_different_jobs(
    harness: JobsHarness,
) -> None:
    assert (await harness.admit(body_hash="a")).job_id != (
        await harness.admit(body_hash="a")
    ).job_id


async def test_a_key_whose_job_is_lost_is_free_again(
    harness: JobsHarness,
) -> None:
    first = await harness.admit(idempotency_key="key", body_hash="a")
    harness.sync.delete(keys.JOB(first.job_id))
    again = await harness.admit(idempotency_key="key", body_hash="b")
    assert again.is_new
    assert again.job_id != first.job_id


async def test_a_refused_question_leaves_no_key_behind(harness: JobsHarness) -> None:
    await harness.admit("other")
    with pytest.raises(QueueFull):
        await harness.admit(idempotency_key="key", body_hash="a", n_jobs=1)
    assert (await harness.admit(idempotency_key="key", body_hash="b")).is_new


async def test_a_temporary_failure_frees_the_key(
    harness: JobsHarness,
) -> None:
    """Clients send the same Idempotency-Key with each of their own retries."""
    job_id = await harness.ask(idempotency_key="key", body_hash="a")
    await harness.client.fail(job_id, Unavailable("The queue cannot be reached."))
    assert (await harness.admit(idempotency_key="key", body_hash="a")).is_new
