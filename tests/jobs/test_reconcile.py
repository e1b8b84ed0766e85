"""The reconciler: lost workers, late and unwatched jobs, lost messages, one lock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
import redis

from edge.errors import RequestQuarantined
from edge.events import Embedded, Failed, Retried, Started, Token
from edge.jobs import keys, reconcile
from edge.jobs.queue import queue_of
from edge.jobs.reconcile import Reconciler
from edge.jobs.record import MOST_DEATHS, QUARANTINE_S
from edge.jobs.switching import Switching
from edge.redis_clients import AsyncRedis
from tests.jobs.jobs_harness import FINISHED, POOL, JobsHarness

pytestmark = pytest.mark.redis

STOPPED = Failed("shutting_down", "The server was stopped.")
DEATHS = keys.DEATHS("what?")


# --- workers that died ------------------------------------------------------------


@pytest.mark.parametrize("streams", [True, False])
async def test_a_job_without_shown_text_is_retried(
    harness: JobsHarness, streams: bool
) -> None:
    job_id = await harness.ask(streams=streams)
    claim = harness.claim()
    harness.publisher.publish(job_id, 1, 1, [Started(475), Embedded(400)])
    harness.lose(claim)
    await harness.reconciler.tick()
    assert await harness.state(job_id) == "waiting"
    again = harness.claim()
    assert (again.job_id, again.attempt, again.is_suspect) == (job_id, 2, True)
    assert harness.worker.pictures(again)


async def test_a_stream_with_shown_text_ends(
    harness: JobsHarness,
) -> None:
    job_id = await harness.ask(streams=True)
    claim = harness.claim()
    harness.publisher.publish(job_id, 1, 1, [Started(475), Token("a")])
    harness.lose(claim)
    await harness.reconciler.tick()
    *_, text, last = await harness.events(job_id)
    assert text == Token("a")
    assert isinstance(last, Failed)
    assert last.code == "worker_lost"
    assert await harness.state(job_id) == "failed"
    assert harness.n_live() == 0


async def test_unshown_text_is_computed_again(
    harness: JobsHarness,
) -> None:
    job_id = await harness.ask(streams=False)
    claim = harness.claim()
    harness.publisher.publish(job_id, 1, 1, [Started(475), Token("a")])
    harness.lose(claim)
    await harness.reconciler.tick()
    assert harness.claim().attempt == 2


async def test_a_retried_job_keeps_its_score(harness: JobsHarness) -> None:
    first = await harness.ask("first")
    claim = harness.claim()
    others = [await harness.ask(f"other {n}") for n in range(2)]
    harness.lose(claim)
    await harness.reconciler.tick()
    assert harness.order() == [first, *others]


async def test_a_machine_that_stood_still_loses_no_worker(
    harness: JobsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor one whose clock jumped: all leases are over then, and nobody has died."""
    monkeypatch.setattr(reconcile, "LEASE_S", 0.1)
    monkeypatch.setattr(reconcile, "SLACK_S", 600)
    job_id = await harness.ask()
    claim = harness.claim()
    await harness.reconciler.tick()
    await asyncio.sleep(0.2)
    harness.lose(claim)
    assert harness.reconciler._looked_at
    harness.reconciler._looked_at -= 1000
    await harness.reconciler.tick()
    assert await harness.state(job_id) == "running"
    await asyncio.sleep(0.2)
    await harness.reconciler.tick()  # it has not renewed since: it is dead
    assert await harness.state(job_id) == "waiting"


async def test_a_renewed_lease_is_not_lost(harness: JobsHarness) -> None:
    job_id = await harness.ask()
    claim = harness.claim()
    harness.lose(claim)
    harness.worker.renew(claim)
    await harness.reconciler.tick()
    assert await harness.state(job_id) == "running"


async def test_a_content_that_kills_twice_is_refused_for_a_while(
    harness: JobsHarness,
) -> None:
    job_id = await harness.ask()
    for _ in range(MOST_DEATHS):
        harness.lose(harness.claim())
        await harness.reconciler.tick()
    assert await harness.failure(job_id) == "request_quarantined"
    again = await harness.admit("other")
    with pytest.raises(RequestQuarantined, match="refused for a while"):
        await harness.enqueue(again.job_id)
    assert QUARANTINE_S - 60 < harness.sync.ttl(DEATHS) <= QUARANTINE_S
    another = await harness.ask("other", text="something else")
    assert harness.claim().job_id == another


@pytest.mark.parametrize("first", ["renews", "ends"])
async def test_nobody_has_died_of_what_a_live_worker_had(
    harness: JobsHarness, first: str
) -> None:
    """It stood still for longer than its lease, as on a machine with too much to do."""
    job_id = await harness.ask()
    for _ in range(3 * MOST_DEATHS):
        claim = harness.claim()
        harness.lose(claim)
        await harness.reconciler.tick()
        assert harness.sync.get(DEATHS) == b"1"
        if first == "renews":
            assert not harness.worker.renew(claim)
        else:
            assert not harness.worker.end(claim, FINISHED)
        assert harness.sync.get(DEATHS) is None
    assert await harness.state(job_id) == "waiting"
    assert not [*harness.sync.scan_iter(keys.GUILT("*"))]


async def test_an_answered_suspect_was_innocent(harness: JobsHarness) -> None:
    await harness.ask()
    harness.lose(harness.claim())
    await harness.reconciler.tick()
    assert harness.sync.get(DEATHS) == b"1"
    harness.worker.end(harness.claim(), FINISHED)
    assert not harness.sync.exists(DEATHS)


async def test_a_cancelled_suspect_remains_one(harness: JobsHarness) -> None:
    job_id = await harness.ask()
    harness.lose(harness.claim())
    await harness.reconciler.tick()
    harness.claim()
    await harness.client.cancel(job_id)
    await harness.ask()
    assert harness.claim().is_suspect


async def test_one_death_counts_once_for_equal_jobs(
    harness: JobsHarness,
) -> None:
    """Load tests ask one question in all slots; a worker that is killed then must not
    put it into quarantine."""
    ids = [await harness.ask(f"client {n}") for n in range(2)]
    for claim in (harness.claim(), harness.claim()):
        harness.lose(claim)
    await harness.reconciler.tick()
    assert [await harness.state(job_id) for job_id in ids] == ["waiting"] * 2


async def test_waiting_copies_of_a_poison_are_refused(
    harness: JobsHarness,
) -> None:
    poison = await harness.ask("poison")
    copy = await harness.ask("copy")
    for _ in range(MOST_DEATHS):
        claim = harness.claim()
        assert claim.job_id == poison
        harness.lose(claim)
        await harness.reconciler.tick()
    claimed = harness.worker.claim()
    assert claimed is None, "a third worker dies of it"
    assert await harness.failure(copy) == "request_quarantined"


# --- workers that stop ------------------------------------------------------------


@pytest.mark.parametrize("streams", [True, False])
async def test_a_job_released_before_shown_text_waits_again(
    harness: JobsHarness, streams: bool
) -> None:
    job_id = await harness.ask(streams=streams)
    harness.publisher.publish(job_id, 1, 1, [Started(475)])
    harness.worker.release(harness.claim(), STOPPED)
    assert await harness.state(job_id) == "waiting"
    assert not harness.sync.exists(DEATHS)
    again = harness.claim()
    assert (again.attempt, again.is_suspect) == (2, False)


@pytest.mark.parametrize("streams", [True, False])
async def test_a_job_released_after_shown_text(
    harness: JobsHarness, streams: bool
) -> None:
    job_id = await harness.ask(streams=streams)
    claim = harness.claim()
    harness.publisher.publish(job_id, 1, 1, [Started(475), Token("a")])
    harness.worker.release(claim, STOPPED)
    if streams:
        assert await harness.events(job_id) == [Started(475), Token("a"), STOPPED]
        assert harness.n_live() == 0
    else:
        assert await harness.state(job_id) == "waiting"
        assert harness.claim().attempt == 2


async def test_an_ended_job_cannot_be_released(harness: JobsHarness) -> None:
    job_id = await harness.ask()
    claim = harness.claim()
    await harness.client.cancel(job_id)
    harness.worker.release(claim, STOPPED)
    assert await harness.state(job_id) == "cancelled"
    assert harness.worker.claim() is None


async def test_a_released_suspect_is_still_one(harness: JobsHarness) -> None:
    await harness.ask()
    harness.lose(harness.claim())
    await harness.reconciler.tick()
    harness.worker.release(harness.claim(), STOPPED)
    assert harness.claim().is_suspect


# --- jobs that are late or forgotten ----------------------------------------------


@pytest.mark.parametrize("state", ["admitted", "waiting", "running"])
async def test_a_job_past_its_deadline_expires(
    harness: JobsHarness, state: str
) -> None:
    job = await harness.admit()
    if state != "admitted":
        await harness.enqueue(job.job_id)
    if state == "running":
        harness.claim()
    harness.set(job.job_id, expires=1)
    await harness.reconciler.tick()
    assert await harness.failure(job.job_id) == "deadline_exceeded"
    assert await harness.state(job.job_id) == "expired"
    assert harness.n_live() == 0


async def test_an_unwatched_waiting_job_is_cancelled(
    harness: JobsHarness,
) -> None:
    left, kept = (
        await harness.ask(),
        await harness.ask(idempotency_key="key", body_hash="a"),
    )
    watched = await harness.ask()
    for job_id in (left, kept):
        harness.forget(job_id)
    await harness.reconciler.tick()
    states = [await harness.state(job_id) for job_id in (left, kept, watched)]
    assert states == ["cancelled", "waiting", "waiting"]


async def test_a_job_that_nobody_will_queue_is_cancelled_though_it_is_kept(
    harness: JobsHarness,
) -> None:
    """Its web process died while the pictures were decoded."""
    job = await harness.admit(idempotency_key="key", body_hash="a")
    await harness.reconciler.tick()
    assert await harness.state(job.job_id) == "waiting"
    harness.forget(job.job_id)
    await harness.reconciler.tick()
    assert await harness.state(job.job_id) == "cancelled"


async def test_a_machine_that_stood_still_forgets_nobody(harness: JobsHarness) -> None:
    """Clients had no chance to say that they wait; they do so a moment later."""
    ids = [await harness.ask() for _ in range(2)]
    for job_id in ids:
        harness.set(job_id, watched=1)
    await harness.reconciler.tick()
    claim = harness.claim()
    assert harness.worker.renew(claim)
    for job_id in ids:
        await harness.client.look(job_id, watch=True)
        harness.set(job_id, missed=2)  # long ago
    await harness.reconciler.tick()
    assert harness.worker.renew(claim)
    assert [await harness.state(job_id) for job_id in ids] == ["running", "waiting"]


async def test_a_running_job_is_left_to_its_worker(harness: JobsHarness) -> None:
    job_id = await harness.ask()
    harness.claim()
    harness.forget(job_id)
    await harness.reconciler.tick()
    assert await harness.state(job_id) == "running"


async def test_jobs_that_redis_lost_are_no_longer_counted(harness: JobsHarness) -> None:
    ids = [await harness.ask() for _ in range(2)]
    harness.claim()
    for job_id in ids:
        harness.sync.delete(keys.JOB(job_id))
    await harness.reconciler.tick()
    for kind in (keys.LIVE, keys.WAITING, keys.RUNNING):
        assert not harness.sync.exists(kind(POOL))


# --- messages that got lost -------------------------------------------------------


async def test_a_job_without_a_message_is_called_after_two_ticks(
    harness: JobsHarness,
) -> None:
    for _ in range(3):
        await harness.ask()
    harness.sync.lpush(queue_of(POOL), "a message")
    await harness.reconciler.tick()
    assert harness.calls == []
    await harness.reconciler.tick()
    assert harness.calls == [POOL] * 2


async def test_a_job_whose_message_was_just_taken_is_not_called(
    harness: JobsHarness,
) -> None:
    await harness.ask()
    await harness.reconciler.tick()  # between the message and the claim
    harness.claim()
    await harness.ask()
    harness.sync.lpush(queue_of(POOL), "its message")
    for _ in range(3):
        await harness.reconciler.tick()
    assert harness.calls == []


async def test_no_more_is_called_for_than_has_been_missing_all_along(
    harness: JobsHarness,
) -> None:
    await harness.ask()
    await harness.reconciler.tick()
    await harness.ask()
    await harness.reconciler.tick()
    assert harness.calls == [POOL]


async def test_nobody_is_called_while_a_pool_is_paused(harness: JobsHarness) -> None:
    """Its workers would take each message, and be given no job."""
    switching = Switching(harness.sync)
    switching.pause(POOL)
    await harness.ask()
    for _ in range(3):
        assert await harness.reconciler.tick()
    assert harness.calls == []
    switching.resume(POOL)
    for _ in range(2):
        await harness.reconciler.tick()
    assert harness.calls == [POOL]


async def test_a_job_of_a_dead_worker_is_called(harness: JobsHarness) -> None:
    await harness.ask()
    harness.lose(harness.claim())
    await harness.reconciler.tick()
    await harness.reconciler.tick()
    assert harness.calls == [POOL]


# --- one of several ---------------------------------------------------------------


async def test_one_reconciler_works_and_another_takes_over(
    harness: JobsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "LOCK_MS", 60_000)
    called: list[str] = []

    async def call(pool: str) -> None:
        called.append(pool)

    other = Reconciler(harness.asynchronous, call)
    await harness.ask()
    for _ in range(4):
        await harness.reconciler.tick()
        await other.tick()
    assert harness.calls == [POOL] * 3
    assert called == []
    harness.sync.pexpire(keys.RECONCILER(), 0)  # the first has stopped
    for _ in range(2):
        await other.tick()
        await harness.reconciler.tick()
    assert called == [POOL]
    assert harness.calls == [POOL] * 3


async def test_the_elected_reconciler_keeps_the_lock(
    harness: JobsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "LOCK_MS", 90_000)
    await harness.reconciler.tick()
    harness.sync.pexpire(keys.RECONCILER(), 30_000)  # a minute later
    await harness.reconciler.tick()
    assert harness.sync.pttl(keys.RECONCILER()) > 30_000


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


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


async def test_leases_are_not_judged_until_they_could_be_renewed(
    harness: JobsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the broker was away no worker could."""
    monkeypatch.setattr(reconcile, "LEASE_S", 60)
    monkeypatch.setattr(reconcile, "SLACK_S", 600)
    monkeypatch.setattr(reconcile, "TICK_S", 0.02)
    monkeypatch.setattr(Wire, "is_cut", False)
    wire = Wire.from_url(harness.url, socket_timeout=None)
    job_id = await harness.ask()
    claim = harness.claim()
    reconciler = Reconciler(wire, harness.call)

    async def tick() -> None:
        """Returns after a whole one."""
        for _ in range(2):
            before = reconciler._looked_at
            await until(lambda before=before: reconciler._looked_at != before)

    async def pass_a_minute() -> None:
        assert reconciler._in_touch_since
        reconciler._in_touch_since -= 60
        await tick()

    async with running(reconciler):
        await tick()
        await pass_a_minute()  # in touch for long enough
        Wire.is_cut = True
        await until(lambda: reconciler._in_touch_since is None)
        harness.lose(claim)
        Wire.is_cut = False
        await tick()
        assert await harness.state(job_id) == "running"
        await pass_a_minute()
        assert await harness.state(job_id) == "waiting"
    await wire.aclose()


async def test_a_new_reconciler_does_not_judge_leases_at_once(
    harness: JobsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "LEASE_S", 0.2)
    monkeypatch.setattr(reconcile, "SLACK_S", 600)
    job_id = await harness.ask()
    harness.lose(harness.claim())
    await harness.reconciler.tick()
    assert await harness.state(job_id) == "running"
    await asyncio.sleep(0.25)
    await harness.reconciler.tick()
    assert await harness.state(job_id) == "waiting"


async def test_it_continues_after_an_unexpected_error(
    harness: JobsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "TICK_S", 0.02)
    n_calls = 0

    async def call(_pool: str) -> None:
        nonlocal n_calls
        n_calls += 1
        raise ZeroDivisionError

    await harness.ask()
    async with running(Reconciler(harness.asynchronous, call)):
        await until(lambda: n_calls >= 3)


async def test_followers_are_told_of_a_retry(harness: JobsHarness) -> None:
    job_id = await harness.ask()
    harness.lose(harness.claim())
    await harness.reconciler.tick()
    harness.worker.end(harness.claim(), FINISHED)
    assert await harness.events(job_id) == [Retried(), FINISHED]


async def test_a_claim_that_is_sent_again_gets_the_same_job(
    harness: JobsHarness,
) -> None:
    """Its reply was lost; whatever the order in which both arrive."""
    first, second = await harness.ask(), await harness.ask("other")
    one, same = harness.claim("a"), harness.claim("a")
    assert replace(same, seconds_left=one.seconds_left) == one
    assert one.job_id == first
    assert harness.claim("b").job_id == second


async def test_a_claim_that_is_sent_again_too_late_takes_the_death_back(
    harness: JobsHarness,
) -> None:
    job_id = await harness.ask()
    harness.lose(harness.claim("a"))
    await harness.reconciler.tick()
    assert harness.sync.keys(keys.DEATHS("*"))
    again = harness.claim("a")
    assert (again.job_id, again.attempt, again.is_suspect) == (job_id, 2, False)
    assert not harness.sync.keys(keys.DEATHS("*")) + harness.sync.keys(keys.GUILT("*"))


async def test_a_death_is_taken_back_from_a_job_that_another_worker_has(
    harness: JobsHarness,
) -> None:
    job_id = await harness.ask()
    harness.lose(harness.claim("a"))
    await harness.reconciler.tick()
    assert harness.claim("b").job_id == job_id
    assert harness.worker.claim(name="a") is None
    assert harness.sync.keys(keys.DEATHS("*")) == []
