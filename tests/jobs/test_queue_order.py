"""The order of the queue: fair among clients, batch jobs later, suspects alone."""

from __future__ import annotations

import pytest

from edge.jobs import keys
from edge.jobs.estimate import Pace
from edge.jobs.record import BATCH_S
from edge.jobs.worker_side import LATER, Claim
from tests.jobs.jobs_harness import BOUNDS, FINISHED, PATIENCE_S, POOL, JobsHarness

pytestmark = pytest.mark.redis

SPACING_S = 100.0  # between the starts of jobs; no test takes so long


@pytest.fixture(autouse=True)
def slow_jobs(harness: JobsHarness) -> None:
    pace = Pace(job_s=SPACING_S * BOUNDS.n_slots)
    harness.sync.set(keys.PACE(POOL), pace.to_json())


def place(harness: JobsHarness, job_id: str) -> float:
    found = harness.sync.zscore(keys.WAITING(POOL), job_id)
    assert found is not None
    return found


def now(harness: JobsHarness) -> float:
    seconds, microseconds = harness.sync.time()
    return seconds + microseconds / 1e6


def earlier(harness: JobsHarness, *job_ids: str, seconds: float) -> None:
    """As if they had been submitted earlier."""
    for job_id in job_ids:
        harness.sync.zincrby(keys.WAITING(POOL), -seconds, job_id)


# --- clients ----------------------------------------------------------------------


async def test_one_client_alone_is_first_come_first_served(
    harness: JobsHarness,
) -> None:
    ids = [await harness.ask(text=f"{n}") for n in range(6)]
    assert harness.order() == ids


async def test_many_clients_are_first_come_first_served(harness: JobsHarness) -> None:
    ids = [await harness.ask(f"client {n}") for n in range(6)]
    assert harness.order() == ids


async def test_jobs_of_others_come_between_those_of_a_busy_client(
    harness: JobsHarness,
) -> None:
    """A second client's only question is not behind all five of the first."""
    many = [await harness.ask("many") for _ in range(5)]
    few = await harness.ask("few")
    assert harness.order() == [many[0], few, *many[1:]]


async def test_two_busy_clients_alternate(harness: JobsHarness) -> None:
    many = [await harness.ask("many") for _ in range(3)]
    more = [await harness.ask("more") for _ in range(3)]
    assert harness.order() == [
        job_id for pair in zip(many, more, strict=True) for job_id in pair
    ]


async def test_scores_of_one_client_are_as_far_apart_as_starts(
    harness: JobsHarness,
) -> None:
    before = now(harness)
    ids = [await harness.ask() for _ in range(3)]
    places = [place(harness, job_id) for job_id in ids]
    assert before <= places[0] <= now(harness)
    assert places[1] - places[0] == pytest.approx(SPACING_S)
    assert places[2] - places[1] == pytest.approx(SPACING_S)


async def test_the_distance_follows_the_learned_pace(
    harness: JobsHarness,
) -> None:
    harness.sync.set(keys.PACE(POOL), Pace(job_s=80.0).to_json())
    ids = [await harness.ask() for _ in range(2)]
    assert place(harness, ids[1]) - place(harness, ids[0]) == pytest.approx(20.0)


async def test_a_client_without_unfinished_jobs_scores_now(
    harness: JobsHarness,
) -> None:
    """Even if the score of a cancelled job lies in the future."""
    ids = [await harness.ask() for _ in range(20)]
    assert place(harness, ids[-1]) > now(harness) + 15 * SPACING_S
    for job_id in ids:
        await harness.client.cancel(job_id)
    before = now(harness)
    again = await harness.ask()
    assert before <= place(harness, again) <= now(harness)


async def test_what_takes_no_slot_does_not_postpone_the_next(
    harness: JobsHarness,
) -> None:
    """While one answer streams, thirty others of the account are refused."""
    await harness.ask("busy")
    for _ in range(30):
        await harness.client.cancel(await harness.ask("busy"))
    last = await harness.ask("busy")
    assert place(harness, last) < now(harness) + 2 * SPACING_S


async def test_an_old_latest_score_does_not_lower_the_next(
    harness: JobsHarness,
) -> None:
    await harness.ask()
    harness.sync.set(keys.SCORE("me"), now(harness) - 500)
    before = now(harness)
    second = await harness.ask()
    assert before <= place(harness, second) <= now(harness)


# --- batch work -------------------------------------------------------------------


async def test_batch_jobs_wait_behind_others(harness: JobsHarness) -> None:
    batch = [await harness.ask("batch", is_batch=True) for _ in range(2)]
    others = [await harness.ask(f"client {n}") for n in range(3)]
    assert harness.order() == [*others, *batch]


async def test_batch_jobs_are_not_overtaken_by_much_later_jobs(
    harness: JobsHarness,
) -> None:
    """Or a busy day would delay it for ever."""
    batch = await harness.ask("batch", is_batch=True)
    early = await harness.ask("early")
    earlier(harness, batch, early, seconds=BATCH_S + 1)
    late = await harness.ask("late")
    assert harness.order() == [early, batch, late]


async def test_batch_jobs_do_not_delay_their_own_client(
    harness: JobsHarness,
) -> None:
    batch = await harness.ask(is_batch=True)
    other = await harness.ask()
    assert place(harness, batch) - place(harness, other) == pytest.approx(
        BATCH_S - SPACING_S
    )


# --- jobs that are skipped -----------------------------------------------------------


async def test_an_empty_queue_gives_no_claim(harness: JobsHarness) -> None:
    assert harness.worker.claim() is None
    await harness.admit()  # a place, and no question yet
    assert harness.worker.claim() is None


async def test_a_job_is_claimed_once(harness: JobsHarness) -> None:
    await harness.ask()
    assert harness.claim()
    assert harness.worker.claim() is None


async def test_ended_jobs_are_skipped(harness: JobsHarness) -> None:
    ids = [await harness.ask(f"client {n}") for n in range(3)]
    await harness.client.cancel(ids[0])
    harness.sync.delete(keys.JOB(ids[1]))  # forgotten altogether
    harness.sync.zadd(keys.WAITING(POOL), {ids[0]: 1})
    assert harness.order() == [ids[2]]
    assert not harness.sync.exists(keys.WAITING(POOL))


async def test_a_late_job_expires_instead_of_running(
    harness: JobsHarness,
) -> None:
    late, other = await harness.ask("late"), await harness.ask("other")
    harness.set(late, expires=1)
    assert harness.order() == [other]
    assert await harness.state(late) == "expired"
    assert await harness.failure(late) == "deadline_exceeded"


async def test_an_unwatched_job_is_cancelled_instead_of_running(
    harness: JobsHarness,
) -> None:
    left, other = await harness.ask("left"), await harness.ask("other")
    harness.forget(left)
    assert harness.order() == [other]
    assert await harness.failure(left) == "cancelled"


async def test_a_kept_job_runs_unwatched(
    harness: JobsHarness,
) -> None:
    kept = await harness.ask(idempotency_key="key", body_hash="a")
    harness.forget(kept)
    assert harness.order() == [kept]


@pytest.mark.parametrize("is_kept", [True, False])
async def test_only_a_wanted_job_is_renewed(
    harness: JobsHarness, is_kept: bool
) -> None:
    await harness.ask(idempotency_key="key" if is_kept else "", body_hash="a")
    claim = harness.claim()
    assert harness.worker.renew(claim)
    harness.forget(claim.job_id)
    assert harness.worker.renew(claim) == is_kept


async def test_renewing_moves_the_end_of_the_lease(harness: JobsHarness) -> None:
    await harness.ask()
    claim = harness.claim()
    harness.lose(claim)
    before = now(harness)
    assert harness.worker.renew(claim)
    [(_, end)] = harness.sync.zrange(keys.RUNNING(POOL), 0, -1, withscores=True)
    assert before <= end - PATIENCE_S <= now(harness)


# --- suspects ---------------------------------------------------------------------


async def a_suspect(harness: JobsHarness, owner: str = "suspect") -> str:
    """A job whose worker died while it ran, waiting again."""
    job_id = await harness.ask(owner, text=f"poison of {owner}")
    harness.lose(harness.claim())
    await harness.reconciler.tick()
    return job_id


async def test_a_suspect_waits_until_it_may_run_alone(harness: JobsHarness) -> None:
    suspect = await a_suspect(harness)
    innocent = await harness.ask("innocent")
    assert harness.worker.claim(may_be_suspect=False) == LATER
    claim = harness.worker.claim(may_be_suspect=True)
    assert isinstance(claim, Claim)
    assert (claim.job_id, claim.is_suspect) == (suspect, True)
    claim = harness.worker.claim(may_be_suspect=False)
    assert isinstance(claim, Claim)
    assert (claim.job_id, claim.is_suspect) == (innocent, False)


async def test_an_innocent_before_a_suspect_runs_beside_others(
    harness: JobsHarness,
) -> None:
    suspect = await a_suspect(harness)
    innocent = await harness.ask("innocent")
    earlier(harness, innocent, seconds=60)
    claim = harness.worker.claim(may_be_suspect=False)
    assert isinstance(claim, Claim)
    assert claim.job_id == innocent
    assert harness.worker.claim(may_be_suspect=False) == LATER
    assert harness.order() == [suspect]


async def test_another_job_of_the_same_content_is_a_suspect_too(
    harness: JobsHarness,
) -> None:
    await a_suspect(harness)
    await harness.client.cancel(harness.claim().job_id)
    again = await harness.ask("other", text="poison of suspect")
    claim = harness.claim()
    assert (claim.job_id, claim.is_suspect) == (again, True)


async def test_an_answer_clears_the_content_of_suspicion(harness: JobsHarness) -> None:
    await a_suspect(harness)
    harness.worker.end(harness.claim(), FINISHED)
    await harness.ask("other", text="poison of suspect")
    assert not harness.claim().is_suspect
