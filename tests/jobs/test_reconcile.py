"""The reconciler: lost workers, late and forgotten jobs, lost messages, one at work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import redis

from edge.errors import RequestQuarantined
from edge.events import Embedded, Failed, Retried, Started, Token
from edge.jobs import reconcile, record
from edge.jobs.queue import queue_of
from edge.jobs.reconcile import LOCK, Reconciler
from edge.jobs.record import MOST_DEATHS, QUARANTINE_S
from edge.redis_clients import AsyncRedis
from tests.jobs.desk import FINISHED, POOL, Desk

pytestmark = pytest.mark.redis

STOPPED = Failed("shutting_down", "The server was stopped.")
DEATHS = "edge:deaths:what?"


# --- workers that died ------------------------------------------------------------


@pytest.mark.parametrize("streams", [True, False])
async def test_a_job_that_has_shown_nothing_is_tried_again(
    desk: Desk, streams: bool
) -> None:
    job_id = await desk.ask(streams=streams)
    claim = desk.claim()
    desk.publisher.publish(job_id, 1, 1, [Started(475), Embedded(400)])
    desk.lose(claim)
    await desk.reconciler.tick()
    assert await desk.state(job_id) == "waiting"
    again = desk.claim()
    assert (again.job_id, again.attempt, again.is_suspect) == (job_id, 2, True)
    assert desk.worker.pictures(again)


async def test_text_that_was_shown_in_a_stream_is_the_end_of_it(desk: Desk) -> None:
    job_id = await desk.ask(streams=True)
    claim = desk.claim()
    desk.publisher.publish(job_id, 1, 1, [Started(475), Token("a")])
    desk.lose(claim)
    await desk.reconciler.tick()
    *_, text, last = await desk.events(job_id)
    assert text == Token("a")
    assert isinstance(last, Failed)
    assert last.code == "worker_lost"
    assert await desk.state(job_id) == "failed"
    assert desk.n_live() == 0


async def test_text_that_nobody_was_shown_is_computed_again(desk: Desk) -> None:
    job_id = await desk.ask(streams=False)
    claim = desk.claim()
    desk.publisher.publish(job_id, 1, 1, [Started(475), Token("a")])
    desk.lose(claim)
    await desk.reconciler.tick()
    assert desk.claim().attempt == 2


async def test_a_job_that_is_tried_again_keeps_its_place(desk: Desk) -> None:
    first = await desk.ask("first")
    claim = desk.claim()
    others = [await desk.ask(f"other {n}") for n in range(2)]
    desk.lose(claim)
    await desk.reconciler.tick()
    assert desk.order() == [first, *others]


async def test_a_lease_that_is_renewed_is_not_lost(desk: Desk) -> None:
    job_id = await desk.ask()
    claim = desk.claim()
    desk.lose(claim)
    desk.worker.renew(claim)
    await desk.reconciler.tick()
    assert await desk.state(job_id) == "running"


async def test_who_kills_twice_is_refused_for_a_while(desk: Desk) -> None:
    job_id = await desk.ask()
    for _ in range(MOST_DEATHS):
        desk.lose(desk.claim())
        await desk.reconciler.tick()
    assert await desk.failure(job_id) == "request_quarantined"
    again = await desk.admit("other")
    with pytest.raises(RequestQuarantined, match="refused for a while"):
        await desk.enqueue(again.job_id)
    assert QUARANTINE_S - 5 < desk.sync.ttl(DEATHS) <= QUARANTINE_S
    another = await desk.ask("other", text="something else")
    assert desk.claim().job_id == another


async def test_a_suspect_that_is_answered_was_innocent(desk: Desk) -> None:
    await desk.ask()
    desk.lose(desk.claim())
    await desk.reconciler.tick()
    assert desk.sync.get(DEATHS) == b"1"
    desk.worker.end(desk.claim(), FINISHED)
    assert not desk.sync.exists(DEATHS)


async def test_a_suspect_that_is_cancelled_remains_one(desk: Desk) -> None:
    job_id = await desk.ask()
    desk.lose(desk.claim())
    await desk.reconciler.tick()
    desk.claim()
    await desk.client.cancel(job_id)
    await desk.ask()
    assert desk.claim().is_suspect


async def test_one_death_counts_once_however_many_asked_the_same(desk: Desk) -> None:
    """Load tests ask one question in all slots; a worker that is killed then must not
    put it into quarantine."""
    ids = [await desk.ask(f"client {n}") for n in range(2)]
    for claim in (desk.claim(), desk.claim()):
        desk.lose(claim)
    await desk.reconciler.tick()
    assert [await desk.state(job_id) for job_id in ids] == ["waiting"] * 2


async def test_copies_of_a_poison_that_wait_already_kill_nobody_more(
    desk: Desk,
) -> None:
    poison = await desk.ask("poison")
    copy = await desk.ask("copy")
    for _ in range(MOST_DEATHS):
        claim = desk.claim()
        assert claim.job_id == poison
        desk.lose(claim)
        await desk.reconciler.tick()
    claimed = desk.worker.claim()
    assert claimed is None, "a third worker dies of it"
    assert await desk.failure(copy) == "request_quarantined"


# --- workers that stop ------------------------------------------------------------


@pytest.mark.parametrize("streams", [True, False])
async def test_a_job_given_up_before_it_showed_text_waits_again(
    desk: Desk, streams: bool
) -> None:
    job_id = await desk.ask(streams=streams)
    desk.publisher.publish(job_id, 1, 1, [Started(475)])
    desk.worker.release(desk.claim(), STOPPED)
    assert await desk.state(job_id) == "waiting"
    assert not desk.sync.exists(DEATHS)
    again = desk.claim()
    assert (again.attempt, again.is_suspect) == (2, False)


@pytest.mark.parametrize("streams", [True, False])
async def test_a_job_given_up_after_it_showed_text(desk: Desk, streams: bool) -> None:
    job_id = await desk.ask(streams=streams)
    claim = desk.claim()
    desk.publisher.publish(job_id, 1, 1, [Started(475), Token("a")])
    desk.worker.release(claim, STOPPED)
    if streams:
        assert await desk.events(job_id) == [Started(475), Token("a"), STOPPED]
        assert desk.n_live() == 0
    else:
        assert await desk.state(job_id) == "waiting"
        assert desk.claim().attempt == 2


async def test_a_job_that_has_ended_cannot_be_given_up(desk: Desk) -> None:
    job_id = await desk.ask()
    claim = desk.claim()
    await desk.client.cancel(job_id)
    desk.worker.release(claim, STOPPED)
    assert await desk.state(job_id) == "cancelled"
    assert desk.worker.claim() is None


async def test_a_suspect_that_is_given_up_is_still_one(desk: Desk) -> None:
    await desk.ask()
    desk.lose(desk.claim())
    await desk.reconciler.tick()
    desk.worker.release(desk.claim(), STOPPED)
    assert desk.claim().is_suspect


# --- jobs that are late or forgotten ----------------------------------------------


@pytest.mark.parametrize("state", ["admitted", "waiting", "running"])
async def test_a_job_past_its_deadline_expires(desk: Desk, state: str) -> None:
    job = await desk.admit()
    if state != "admitted":
        await desk.enqueue(job.job_id)
    if state == "running":
        desk.claim()
    desk.set(job.job_id, expires=1)
    await desk.reconciler.tick()
    assert await desk.failure(job.job_id) == "deadline_exceeded"
    assert await desk.state(job.job_id) == "expired"
    assert desk.n_live() == 0


async def test_a_waiting_job_that_nobody_watches_is_cancelled(desk: Desk) -> None:
    left, kept = await desk.ask(), await desk.ask(idempotency_key="key", body_hash="a")
    watched = await desk.ask()
    for job_id in (left, kept):
        desk.forget(job_id)
    await desk.reconciler.tick()
    states = [await desk.state(job_id) for job_id in (left, kept, watched)]
    assert states == ["cancelled", "waiting", "waiting"]


async def test_a_running_job_is_left_to_its_worker(desk: Desk) -> None:
    job_id = await desk.ask()
    desk.claim()
    desk.forget(job_id)
    await desk.reconciler.tick()
    assert await desk.state(job_id) == "running"


async def test_what_redis_forgot_is_counted_no_more(desk: Desk) -> None:
    ids = [await desk.ask() for _ in range(2)]
    desk.claim()
    for job_id in ids:
        desk.sync.delete(record.job_key(job_id))
    await desk.reconciler.tick()
    for kind in (record.live_key, record.waiting_key, record.running_key):
        assert not desk.sync.exists(kind(POOL))


# --- messages that got lost -------------------------------------------------------


async def test_a_job_without_a_message_is_called_for_after_two_looks(
    desk: Desk,
) -> None:
    for _ in range(3):
        await desk.ask()
    desk.sync.lpush(queue_of(POOL), "a message")
    await desk.reconciler.tick()
    assert desk.calls == []
    await desk.reconciler.tick()
    assert desk.calls == [POOL] * 2


async def test_a_job_whose_message_was_just_taken_is_not_called_for(
    desk: Desk,
) -> None:
    await desk.ask()
    await desk.reconciler.tick()  # between the message and the claim
    desk.claim()
    await desk.ask()
    desk.sync.lpush(queue_of(POOL), "its message")
    for _ in range(3):
        await desk.reconciler.tick()
    assert desk.calls == []


async def test_no_more_is_called_for_than_has_been_missing_all_along(
    desk: Desk,
) -> None:
    await desk.ask()
    await desk.reconciler.tick()
    await desk.ask()
    await desk.reconciler.tick()
    assert desk.calls == [POOL]


async def test_a_job_of_a_dead_worker_is_called_for(desk: Desk) -> None:
    await desk.ask()
    desk.lose(desk.claim())
    await desk.reconciler.tick()
    await desk.reconciler.tick()
    assert desk.calls == [POOL]


# --- one of several ---------------------------------------------------------------


async def test_one_works_and_another_takes_over(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "LOCK_MS", 300)
    called: list[str] = []

    async def call(pool: str) -> None:
        called.append(pool)

    other = Reconciler(desk.asynchronous, call)
    await desk.ask()
    for _ in range(4):
        await desk.reconciler.tick()
        await other.tick()
    assert desk.calls == [POOL] * 3
    assert called == []
    await asyncio.sleep(0.35)  # the first has stopped
    for _ in range(2):
        await other.tick()
        await desk.reconciler.tick()
    assert called == [POOL]
    assert desk.calls == [POOL] * 3


async def test_who_works_keeps_the_lock(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "LOCK_MS", 500)
    await desk.reconciler.tick()
    await asyncio.sleep(0.1)
    await desk.reconciler.tick()
    assert desk.sync.pttl(LOCK) > 450


class Wire(AsyncRedis):
    """A client whose wire can be cut; `socket_timeout` would lose a cancellation."""

    is_cut = False

    async def execute_command(self, *args, **options):
        if Wire.is_cut:
            raise redis.ConnectionError("cut")
        return await super().execute_command(*args, **options)


@asynccontextmanager
async def running(reconciler: Reconciler) -> AsyncIterator[None]:
    task = asyncio.create_task(reconciler.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_leases_are_not_judged_until_they_could_be_renewed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the broker was away no worker could."""
    monkeypatch.setattr(reconcile, "LEASE_S", 0.4)
    monkeypatch.setattr(reconcile, "TICK_S", 0.02)
    monkeypatch.setattr(Wire, "is_cut", False)
    wire = Wire.from_url(desk.url, socket_timeout=None)
    job_id = await desk.ask()
    claim = desk.claim()
    async with running(Reconciler(wire, desk.call)):
        await asyncio.sleep(0.6)  # in touch for long enough
        Wire.is_cut = True
        await asyncio.sleep(0.1)
        desk.lose(claim)
        Wire.is_cut = False
        await asyncio.sleep(0.2)
        assert await desk.state(job_id) == "running"
        await asyncio.sleep(0.4)
        assert await desk.state(job_id) == "waiting"
    await wire.aclose()


async def test_a_new_reconciler_does_not_judge_leases_at_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "LEASE_S", 0.2)
    job_id = await desk.ask()
    desk.lose(desk.claim())
    await desk.reconciler.tick()
    assert await desk.state(job_id) == "running"
    await asyncio.sleep(0.25)
    await desk.reconciler.tick()
    assert await desk.state(job_id) == "waiting"


async def test_it_goes_on_after_whatever_went_wrong(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "TICK_S", 0.02)
    n_calls = 0

    async def call(_pool: str) -> None:
        nonlocal n_calls
        n_calls += 1
        raise ZeroDivisionError

    await desk.ask()
    async with running(Reconciler(desk.asynchronous, call)), asyncio.timeout(5):
        while n_calls < 3:
            await asyncio.sleep(0.02)


async def test_a_retry_is_told_to_who_follows(desk: Desk) -> None:
    job_id = await desk.ask()
    desk.lose(desk.claim())
    await desk.reconciler.tick()
    desk.worker.end(desk.claim(), FINISHED)
    assert await desk.events(job_id) == [Retried(), FINISHED]
