"""Jobs over a real Redis: each ends once, in one state."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from edge.errors import EngineError, Unavailable, WorkerLost
from edge.events import Accepted, Event, Failed, Queued, Retried, Token
from edge.images import Picture
from edge.jobs import keys
from edge.jobs.demand import demand
from edge.jobs.estimate import Pace
from edge.jobs.fleet import Heart, WorkerInfo
from edge.jobs.pictures import get_pictures, put_pictures
from edge.jobs.record import KEEP_S
from edge.jobs.worker_side import Claim, Unchecked
from tests.jobs.jobs_harness import FINISHED, PICTURE, POOL, JobsHarness, question

pytestmark = pytest.mark.redis


def quiet(monkeypatch: pytest.MonkeyPatch, ms: int) -> None:
    """Followers are told that nothing has happened after so long."""
    for module in ("channel", "client_side"):
        monkeypatch.setattr(f"edge.jobs.{module}.QUIET_MS", ms)


async def test_a_job_waits_runs_and_finishes(
    harness: JobsHarness,
) -> None:
    job_id = await harness.ask()
    assert await harness.state(job_id) == "waiting"
    claim = harness.claim()
    assert (claim.job_id, claim.request, claim.attempt) == (job_id, question(), 1)
    times = harness.sync.hmget(keys.JOB(job_id), "expires", "started")
    expires, started = map(float, times)
    assert claim.seconds_left == pytest.approx(expires - started, abs=0.001)
    assert not claim.is_suspect
    assert await harness.state(job_id) == "running"
    harness.publisher.publish(job_id, 1, 1, [Token("a dog")])
    assert harness.worker.end(claim, FINISHED)
    assert await harness.state(job_id) == "finished"
    assert await harness.events(job_id) == [Token("a dog"), FINISHED]


async def test_a_record_holds_the_submission_and_the_outcome(
    harness: JobsHarness,
) -> None:
    admitted = await harness.admit("somebody")
    job = await harness.client.look(admitted.job_id)
    assert job
    assert (job.pool, job.owner, job.model) == (POOL, "somebody", "tiny")
    assert (job.attempt, job.outcome) == (0, None)
    assert job.created == pytest.approx(admitted.created, abs=0.001)
    await harness.client.fail(admitted.job_id, EngineError("no"))
    job = await harness.client.look(admitted.job_id)
    assert job
    assert (job.state, job.attempt) == ("failed", 0)
    assert job.outcome
    assert "engine_error" in job.outcome


async def test_an_unknown_job_has_no_record(harness: JobsHarness) -> None:
    assert await harness.client.look("0" * 32) is None


async def test_a_cached_answer_ends_a_job_without_a_worker(
    harness: JobsHarness,
) -> None:
    """As from the answer cache, before it was put into the queue."""
    job = await harness.admit()
    await harness.client.end(job.job_id, FINISHED)
    assert await harness.events(job.job_id) == [FINISHED]
    assert harness.n_live() == 0


async def test_a_job_ends_once(harness: JobsHarness) -> None:
    job_id = await harness.ask()
    claim = harness.claim()
    await harness.client.cancel(job_id)
    assert not harness.worker.end(claim, FINISHED)
    assert not harness.worker.renew(claim)
    assert await harness.state(job_id) == "cancelled"
    assert await harness.failure(job_id) == "cancelled"


async def test_a_finished_job_cannot_be_cancelled(harness: JobsHarness) -> None:
    job_id = await harness.ask()
    harness.worker.end(harness.claim(), FINISHED)
    await harness.client.cancel(job_id)
    assert await harness.state(job_id) == "finished"
    assert await harness.events(job_id) == [FINISHED]


async def test_an_impossible_job_is_refused_while_it_waits(
    harness: JobsHarness,
) -> None:
    job_id = await harness.ask()
    harness.worker.end_waiting(job_id, Failed("context_length_exceeded", "Too long."))
    assert await harness.failure(job_id) == "context_length_exceeded"
    assert harness.worker.claim() is None


async def test_new_jobs_are_offered_for_a_check_once_and_in_order(
    harness: JobsHarness,
) -> None:
    ids = [await harness.ask(text=text) for text in "abc"]
    await harness.client.cancel(ids[1])
    assert harness.worker.unchecked(1) == Unchecked(ids[0], question("a"))
    assert harness.worker.unchecked(1) == Unchecked(ids[2], question("c"))
    assert harness.worker.unchecked(0.1) is None


async def test_a_checked_job_gives_its_size_and_position_at_once(
    harness: JobsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet(monkeypatch, 50_000)
    job_id = await harness.ask()
    harness.worker.accept(job_id, 475, 400, 500)
    async with aclosing(harness.client.follow(job_id)) as events:
        async with asyncio.timeout(40):
            assert await anext(events) == Accepted(475, 400)
            queued = await anext(events)
    assert isinstance(queued, Queued) and queued.position == 1


async def test_a_check_after_the_end_leaves_no_trace(harness: JobsHarness) -> None:
    job_id = await harness.ask()
    await harness.client.cancel(job_id)
    harness.worker.accept(job_id, 475, 400, 500)
    assert await harness.failure(job_id) == "cancelled"
    assert len(await harness.events(job_id)) == 1


async def test_a_job_that_ends_while_its_follower_is_quiet_ends_for_it(
    harness: JobsHarness,
) -> None:
    """Its stream was forgotten; the record knows."""
    job_id = await harness.ask()
    harness.worker.end(harness.claim(), FINISHED)
    harness.sync.delete(keys.EVENTS(job_id, 1))
    assert await harness.events(job_id) == [FINISHED]


async def test_a_forgotten_job_ends_for_its_follower(harness: JobsHarness) -> None:
    assert await harness.failure("0" * 32) == WorkerLost.code


async def test_waiting_jobs_give_position_and_start(
    harness: JobsHarness,
) -> None:
    pace_s = 400.0
    harness.sync.set(keys.PACE(POOL), Pace(job_s=pace_s).to_json())
    first, second, third = [await harness.ask() for _ in range(3)]
    assert harness.claim().job_id == first
    harness.beat(n_slots=4)
    for job_id, place, earliest_s in ((second, 1, 0.0), (third, 2, 0.0)):
        queued = await harness.client.position(job_id, POOL)
        assert queued == Queued(place, earliest_s)
    assert await harness.client.position(first, POOL) is None
    async with aclosing(harness.client.follow(third)) as events:
        assert await asyncio.wait_for(anext(events), 60) == Queued(2, 0.0)
    harness.beat(n_slots=1)
    queued = await harness.client.position(third, POOL)
    assert queued and queued.starts_in_s == pytest.approx(2 * pace_s, abs=60)


async def test_a_position_without_a_worker_has_no_start(harness: JobsHarness) -> None:
    job_id = await harness.ask()
    assert await harness.client.position(job_id, POOL) == Queued(1, None)


async def test_slots_of_another_pool_do_not_count(harness: JobsHarness) -> None:
    job_id = await harness.ask()
    Heart(harness.sync, WorkerInfo("host-2", "other", "o", "stub", n_slots=4)).beat()
    assert await harness.client.position(job_id, POOL) == Queued(1, None)


async def test_following_records_that_a_client_waits(harness: JobsHarness) -> None:
    job_id = await harness.ask()
    harness.forget(job_id)
    async with aclosing(harness.client.follow(job_id)) as events:
        assert isinstance(await anext(events), Queued)
    assert harness.claim().job_id == job_id


@pytest.mark.parametrize("is_watched", [True, False])
async def test_looking_records_it_only_with_watch(
    harness: JobsHarness, is_watched: bool
) -> None:
    job_id = await harness.ask()
    harness.forget(job_id)
    await harness.client.look(job_id, watch=is_watched)
    assert (harness.worker.claim() is not None) == is_watched


async def test_a_busy_follower_records_it_too(
    harness: JobsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events that come fast leave no quiet second."""
    monkeypatch.setattr("edge.jobs.client_side.QUIET_MS", 100)
    job_id = await harness.ask()
    claim = harness.claim()
    harness.forget(job_id)
    events = harness.client.follow(job_id)
    for number in range(1, 5):
        harness.publisher.publish(job_id, 1, number, [Token("a")])
        while (event := await anext(events)) is None:  # this machine was slow
            pass
        assert event == Token("a")
        await asyncio.sleep(0.04)
    await events.aclose()
    assert harness.worker.renew(claim)


# --- what is kept, and how long -------------------------------------------------


@pytest.mark.parametrize("ending", ["finish", "cancel", "retry"])
async def test_all_keys_of_a_job_expire(harness: JobsHarness, ending: str) -> None:
    job_id = await harness.ask(idempotency_key="key", body_hash="a")
    claim = harness.claim()
    harness.publisher.publish(job_id, 1, 1, [Token("a")])
    if ending == "finish":
        harness.worker.end(claim, FINISHED)
    elif ending == "cancel":
        await harness.client.cancel(job_id)
    else:
        harness.worker.release(claim, Failed("shutting_down", "Bye."))
    of_client = (keys.ACCOUNT("me"), keys.ADDRESS("me"), keys.SCORE("me"))
    found = [*harness.sync.keys(f"*{job_id}*"), *filter(harness.sync.exists, of_client)]
    found += harness.sync.keys(keys.IDEMPOTENCY("me:key"))
    assert len(found) >= 4
    assert all(0 < harness.sync.ttl(key) <= KEEP_S + 60 for key in found)


async def test_an_ended_job_can_be_looked_at_for_a_while(harness: JobsHarness) -> None:
    job_id = await harness.ask()
    harness.worker.end(harness.claim(), FINISHED)
    for key in (keys.JOB(job_id), keys.EVENTS(job_id, 1)):
        assert KEEP_S - 60 < harness.sync.ttl(key) <= KEEP_S


async def test_pictures_travel_beside_the_job(harness: JobsHarness) -> None:
    await harness.ask()
    assert harness.worker.pictures(harness.claim()) == {PICTURE.ref.sha256: PICTURE}


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_pictures_go_when_their_own_job_ends(
    harness: JobsHarness, is_cancelled: bool
) -> None:
    ended, other = await harness.ask(), await harness.ask()  # two about one picture
    if is_cancelled:
        await harness.client.cancel(ended)
    else:
        harness.worker.end(harness.claim(), FINISHED)
    assert not harness.sync.exists(keys.PICTURES(ended))
    claim = harness.claim()
    assert claim.job_id == other
    assert harness.worker.pictures(claim)


async def test_a_pair_of_frames_arrives_whole(harness: JobsHarness) -> None:
    pair = Picture(2, 1, bytes(range(12)), n_frames=2)
    await put_pictures(harness.asynchronous, "job", [pair], keep_s=60)
    assert get_pictures(harness.sync, "job", [pair.ref]) == {pair.ref.sha256: pair}


async def test_a_lost_picture_is_refused(harness: JobsHarness) -> None:
    job = await harness.admit()
    await harness.enqueue(job.job_id, pictures=[])
    with pytest.raises(Unavailable, match="Send it again"):
        harness.worker.pictures(harness.claim())


async def test_pixels_of_another_picture_are_never_given(harness: JobsHarness) -> None:
    job_id = await harness.ask()
    other = Picture(2, 1, b"\6\5\4\3\2\1")
    harness.sync.hset(keys.PICTURES(job_id), PICTURE.ref.sha256, other.rgb)
    with pytest.raises(EngineError, match="Send it again"):
        harness.worker.pictures(harness.claim())


# --- attempts -------------------------------------------------------------------


async def a_second_attempt(harness: JobsHarness) -> tuple[str, Claim, Claim]:
    """A job whose first worker was presumed dead, with both claims."""
    job_id = await harness.ask()
    stale = harness.claim()
    harness.publisher.publish(job_id, 1, 1, [Token("stale")])
    harness.lose(stale)
    await harness.reconciler.tick()
    return job_id, stale, harness.claim()


async def test_a_stale_attempt_can_change_nothing(harness: JobsHarness) -> None:
    job_id, stale, claim = await a_second_attempt(harness)
    assert claim.attempt == 2
    assert not harness.publisher.publish(job_id, 1, 2, [Token("late")])
    assert not harness.worker.renew(stale)
    assert not harness.worker.end(stale, FINISHED)
    harness.worker.release(stale, Failed("shutting_down", "Bye."))
    assert await harness.state(job_id) == "running"
    assert harness.worker.renew(claim)
    assert harness.worker.end(claim, FINISHED)


async def test_a_follower_continues_with_the_second_attempt(
    harness: JobsHarness,
) -> None:
    job_id, stale, claim = await a_second_attempt(harness)
    harness.publisher.publish(job_id, 1, 2, [Token("late")])
    harness.publisher.publish(job_id, 2, 1, [Token("a"), Token(" dog")])
    harness.worker.end(claim, FINISHED)
    harness.worker.end(stale, Failed("engine_error", "stale"))
    assert await harness.events(job_id) == [
        Token("stale"),
        Retried(),
        Token("a dog"),
        FINISHED,
    ]


async def test_a_follower_sees_a_retry_at_once(
    harness: JobsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet(monkeypatch, 50_000)
    job_id = await harness.ask()
    stale = harness.claim()
    events = harness.client.follow(job_id)
    harness.publisher.publish(job_id, 1, 1, [Token("stale")])
    assert await anext(events) == Token("stale")
    harness.worker.release(stale, Failed("shutting_down", "Bye."))
    assert await asyncio.wait_for(anext(events), 40) == Retried()
    quiet(monkeypatch, 100)
    news: Event | None = await asyncio.wait_for(anext(events), 40)
    quiet(monkeypatch, 50_000)
    assert news == Queued(1)  # it waits again
    claim = harness.claim()
    harness.publisher.publish(job_id, 2, 1, [Token("a")])
    assert await asyncio.wait_for(anext(events), 40) == Token("a")
    harness.worker.end(claim, FINISHED)
    assert await asyncio.wait_for(anext(events), 40) == FINISHED


async def test_a_job_that_ends_while_it_waits_again_ends_for_its_follower(
    harness: JobsHarness,
) -> None:
    job_id = await harness.ask()
    harness.worker.release(harness.claim(), Failed("shutting_down", "Bye."))
    await harness.client.cancel(job_id)
    assert [type(event).__name__ for event in await harness.events(job_id)] == [
        "Retried",
        "Failed",
    ]


# --- how much is asked ----------------------------------------------------------


async def test_demand_counts_over_all_pools(harness: JobsHarness) -> None:
    first, second = await harness.ask("one"), await harness.ask("two")
    harness.claim()
    harness.sync.zincrby(keys.LIVE(POOL), -40, second)
    load = await demand(harness.asynchronous)
    assert (load.n_running, load.n_waiting) == (1, 1)
    assert 40 <= load.oldest_waiting_s < 100
    for job_id in (first, second):
        await harness.client.cancel(job_id)
    load = await demand(harness.asynchronous)
    assert (load.n_running, load.n_waiting, load.oldest_waiting_s) == (0, 0, 0.0)


async def test_a_job_whose_pictures_are_read_neither_runs_nor_waits(
    harness: JobsHarness,
) -> None:
    await harness.admit()
    await harness.ask()
    harness.claim()
    load = await demand(harness.asynchronous)
    assert (load.n_running, load.n_waiting) == (1, 0)


async def test_the_wait_of_a_batch_job_is_measured(harness: JobsHarness) -> None:
    job_id = await harness.ask(is_batch=True)
    harness.set(job_id, created=1_700_000_000)
    harness.sync.zincrby(keys.LIVE(POOL), -40, job_id)
    harness.sync.zincrby(keys.WAITING(POOL), -40, job_id)
    assert (await demand(harness.asynchronous)).oldest_waiting_s >= 40
