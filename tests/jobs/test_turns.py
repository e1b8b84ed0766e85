"""Whose turn it is: fair among clients, batch work behind, and who is passed over."""

from __future__ import annotations

import pytest

from edge.jobs import record
from edge.jobs.estimate import Pace
from edge.jobs.record import BATCH_S, waiting_key
from edge.jobs.worker_side import LATER, Claim
from tests.jobs.desk import BOUNDS, FINISHED, POOL, Desk

pytestmark = pytest.mark.redis

SPACING_S = Pace().job_s / BOUNDS.n_slots  # between the starts of unknown jobs


def place(desk: Desk, job_id: str) -> float:
    found = desk.sync.zscore(waiting_key(POOL), job_id)
    assert found is not None
    return found


def now(desk: Desk) -> float:
    seconds, microseconds = desk.sync.time()
    return seconds + microseconds / 1e6


def earlier(desk: Desk, *job_ids: str, seconds: float) -> None:
    """They had come earlier."""
    for job_id in job_ids:
        desk.sync.zincrby(waiting_key(POOL), -seconds, job_id)


# --- clients ----------------------------------------------------------------------


async def test_one_client_alone_is_first_come_first_served(desk: Desk) -> None:
    ids = [await desk.ask(text=f"{n}") for n in range(6)]
    assert desk.order() == ids


async def test_many_clients_are_first_come_first_served(desk: Desk) -> None:
    ids = [await desk.ask(f"client {n}") for n in range(6)]
    assert desk.order() == ids


async def test_who_asks_much_lets_others_in_between(desk: Desk) -> None:
    """A second client's only question is not behind all five of the first."""
    many = [await desk.ask("many") for _ in range(5)]
    few = await desk.ask("few")
    assert desk.order() == [many[0], few, *many[1:]]


async def test_two_who_ask_much_take_turns(desk: Desk) -> None:
    many = [await desk.ask("many") for _ in range(3)]
    more = [await desk.ask("more") for _ in range(3)]
    assert desk.order() == [
        job_id for pair in zip(many, more, strict=True) for job_id in pair
    ]


async def test_places_of_one_client_are_as_far_apart_as_starts_are(
    desk: Desk,
) -> None:
    ids = [await desk.ask() for _ in range(3)]
    places = [place(desk, job_id) for job_id in ids]
    assert places[0] == pytest.approx(now(desk), abs=1)
    assert places[1] - places[0] == pytest.approx(SPACING_S)
    assert places[2] - places[1] == pytest.approx(SPACING_S)


async def test_the_distance_follows_the_pace_that_was_learnt(desk: Desk) -> None:
    desk.sync.set(record.pace_key(POOL), Pace(job_s=80.0).to_json())
    ids = [await desk.ask() for _ in range(2)]
    assert place(desk, ids[1]) - place(desk, ids[0]) == pytest.approx(20.0)


async def test_who_has_nothing_in_work_is_placed_at_now(desk: Desk) -> None:
    """Though their latest place, of a job that has been cancelled, is yet to come."""
    ids = [await desk.ask() for _ in range(20)]
    assert place(desk, ids[-1]) > now(desk) + 15
    for job_id in ids:
        await desk.client.cancel(job_id)
    again = await desk.ask()
    assert place(desk, again) == pytest.approx(now(desk), abs=0.5)


async def test_who_asked_long_ago_is_placed_at_now_not_earlier(desk: Desk) -> None:
    await desk.ask()
    desk.sync.set("edge:place:me", now(desk) - 500)
    second = await desk.ask()
    assert place(desk, second) == pytest.approx(now(desk), abs=0.5)


# --- batch work -------------------------------------------------------------------


async def test_batch_work_lets_others_pass(desk: Desk) -> None:
    batch = [await desk.ask("batch", is_batch=True) for _ in range(2)]
    others = [await desk.ask(f"client {n}") for n in range(3)]
    assert desk.order() == [*others, *batch]


async def test_but_not_those_who_come_much_later(desk: Desk) -> None:
    """Or a busy day would leave it waiting for ever."""
    batch = await desk.ask("batch", is_batch=True)
    early = await desk.ask("early")
    earlier(desk, batch, early, seconds=BATCH_S + 1)
    late = await desk.ask("late")
    assert desk.order() == [early, batch, late]


async def test_batch_work_does_not_put_its_own_client_back(desk: Desk) -> None:
    batch = await desk.ask(is_batch=True)
    other = await desk.ask()
    assert place(desk, batch) - place(desk, other) == pytest.approx(
        BATCH_S - SPACING_S, abs=0.5
    )


# --- who is passed over -----------------------------------------------------------


async def test_nothing_waits_nothing_is_claimed(desk: Desk) -> None:
    assert desk.worker.claim() is None
    await desk.admit()  # a place, and no question yet
    assert desk.worker.claim() is None


async def test_a_job_is_claimed_once(desk: Desk) -> None:
    await desk.ask()
    assert desk.claim()
    assert desk.worker.claim() is None


async def test_ended_jobs_are_skipped(desk: Desk) -> None:
    ids = [await desk.ask(f"client {n}") for n in range(3)]
    await desk.client.cancel(ids[0])
    desk.sync.delete(record.job_key(ids[1]))  # forgotten altogether
    desk.sync.zadd(waiting_key(POOL), {ids[0]: 1})
    assert desk.order() == [ids[2]]
    assert not desk.sync.exists(waiting_key(POOL))


async def test_a_job_that_is_late_expires_instead_of_running(desk: Desk) -> None:
    late, other = await desk.ask("late"), await desk.ask("other")
    desk.set(late, expires=1)
    assert desk.order() == [other]
    assert await desk.state(late) == "expired"
    assert await desk.failure(late) == "deadline_exceeded"


async def test_a_job_that_nobody_waits_for_is_cancelled_instead_of_running(
    desk: Desk,
) -> None:
    left, other = await desk.ask("left"), await desk.ask("other")
    desk.forget(left)
    assert desk.order() == [other]
    assert await desk.failure(left) == "cancelled"


async def test_a_job_that_is_kept_runs_though_nobody_watches(desk: Desk) -> None:
    kept = await desk.ask(idempotency_key="key", body_hash="a")
    desk.forget(kept)
    assert desk.order() == [kept]


@pytest.mark.parametrize("is_kept", [True, False])
async def test_a_running_job_is_renewed_while_somebody_wants_it(
    desk: Desk, is_kept: bool
) -> None:
    await desk.ask(idempotency_key="key" if is_kept else "", body_hash="a")
    claim = desk.claim()
    assert desk.worker.renew(claim)
    desk.forget(claim.job_id)
    assert desk.worker.renew(claim) == is_kept


async def test_renewing_moves_the_end_of_the_lease(desk: Desk) -> None:
    await desk.ask()
    claim = desk.claim()
    desk.lose(claim)
    assert desk.worker.renew(claim)
    [(_, end)] = desk.sync.zrange(record.running_key(POOL), 0, -1, withscores=True)
    assert end == pytest.approx(now(desk) + record.LEASE_S, abs=0.5)


# --- suspects ---------------------------------------------------------------------


async def a_suspect(desk: Desk, owner: str = "suspect") -> str:
    """A job whose worker died while it ran, waiting again."""
    job_id = await desk.ask(owner, text=f"poison of {owner}")
    desk.lose(desk.claim())
    await desk.reconciler.tick()
    return job_id


async def test_a_suspect_waits_until_it_may_run_alone(desk: Desk) -> None:
    suspect = await a_suspect(desk)
    innocent = await desk.ask("innocent")
    assert desk.worker.claim(may_be_suspect=False) == LATER
    claim = desk.worker.claim(may_be_suspect=True)
    assert isinstance(claim, Claim)
    assert (claim.job_id, claim.is_suspect) == (suspect, True)
    claim = desk.worker.claim(may_be_suspect=False)
    assert isinstance(claim, Claim)
    assert (claim.job_id, claim.is_suspect) == (innocent, False)


async def test_an_innocent_before_a_suspect_runs_beside_others(desk: Desk) -> None:
    suspect = await a_suspect(desk)
    innocent = await desk.ask("innocent")
    earlier(desk, innocent, seconds=60)
    claim = desk.worker.claim(may_be_suspect=False)
    assert isinstance(claim, Claim)
    assert claim.job_id == innocent
    assert desk.worker.claim(may_be_suspect=False) == LATER
    assert desk.order() == [suspect]


async def test_the_same_content_asked_anew_is_a_suspect_too(desk: Desk) -> None:
    await a_suspect(desk)
    await desk.client.cancel(desk.claim().job_id)
    again = await desk.ask("other", text="poison of suspect")
    claim = desk.claim()
    assert (claim.job_id, claim.is_suspect) == (again, True)


async def test_the_same_content_is_none_after_an_answer(desk: Desk) -> None:
    await a_suspect(desk)
    desk.worker.end(desk.claim(), FINISHED)
    await desk.ask("other", text="poison of suspect")
    assert not desk.claim().is_suspect
