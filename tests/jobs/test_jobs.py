"""Jobs over a real Redis: each ends once, in one state, whoever is first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from edge.errors import EngineError, QueueFull, Unavailable, WorkerLost
from edge.events import Failed, Finished, Queued, Token
from edge.images import Picture
from edge.jobs import fleet, record
from edge.jobs.channel import RedisFollower, RedisPublisher
from edge.jobs.client_side import ClientJobs
from edge.jobs.fleet import WorkerInfo
from edge.jobs.worker_side import WorkerJobs
from edge.redis_clients import async_client, sync_client
from edge.request import Answer, Message, Request

pytestmark = pytest.mark.redis

PICTURE = Picture(2, 1, b"\1\2\3\4\5\6")
REQUEST = Request((Message("user", (PICTURE.ref, "what?")),), model="tiny")
FINISHED = Finished(Answer("a dog", "stop"))


class Desk:
    """Both sides of the jobs in one Redis."""

    def __init__(self, url: str) -> None:
        self.sync, self.asynchronous = sync_client(url), async_client(url)
        self.publisher = RedisPublisher(self.sync)
        self.worker = WorkerJobs(self.sync, self.publisher)
        self.client = ClientJobs(self.asynchronous, RedisFollower(self.asynchronous))

    async def admit(self, limit: int = 100, deadline_s: int = 60) -> str:
        return await self.client.admit(REQUEST, limit=limit, deadline_s=deadline_s)

    async def state(self, job_id: str) -> str | None:
        job = await self.client.look(job_id)
        return job and job.state

    async def last(self, job_id: str) -> object:
        *_, last = [event async for event in self.client.follow(job_id) if event]
        return last

    def expire_lease(self, job_id: str) -> None:
        self.sync.hset(record.job_key(job_id), "lease", 1)


@pytest.fixture
async def desk(broker_url: str) -> AsyncIterator[Desk]:
    one = Desk(broker_url)
    yield one
    one.sync.close()
    await one.asynchronous.aclose()


async def test_a_job_goes_from_waiting_over_running_to_finished(desk: Desk) -> None:
    job_id = await desk.admit()
    assert await desk.state(job_id) == "waiting"
    claim = desk.worker.claim(job_id)
    assert claim
    assert (claim.request, claim.attempt) == (REQUEST, 1)
    assert 58 <= claim.seconds_left <= 60
    assert await desk.state(job_id) == "running"
    desk.publisher.publish(job_id, 1, Token("a dog"))
    assert desk.worker.end(claim, FINISHED)
    assert await desk.state(job_id) == "finished"
    events = [event async for event in desk.client.follow(job_id)]
    assert events == [Token("a dog"), FINISHED]


async def test_a_job_is_claimed_once(desk: Desk) -> None:
    job_id = await desk.admit()
    assert desk.worker.claim(job_id)
    assert desk.worker.claim(job_id) is None


async def test_a_job_that_nobody_knows_is_not_claimed(desk: Desk) -> None:
    assert desk.worker.claim("0" * 32) is None


async def test_a_job_ends_once_whoever_is_first(desk: Desk) -> None:
    job_id = await desk.admit()
    claim = desk.worker.claim(job_id)
    await desk.client.cancel(job_id)
    assert not desk.worker.end(claim, FINISHED)
    assert not desk.worker.renew(claim)
    assert await desk.state(job_id) == "cancelled"
    assert (await desk.last(job_id)).code == "cancelled"


async def test_a_finished_job_cannot_be_cancelled(desk: Desk) -> None:
    job_id = await desk.admit()
    desk.worker.end(desk.worker.claim(job_id), FINISHED)
    await desk.client.cancel(job_id)
    assert await desk.state(job_id) == "finished"


async def test_a_job_cancelled_while_it_waits_is_never_claimed(desk: Desk) -> None:
    job_id = await desk.admit()
    await desk.client.cancel(job_id)
    assert desk.worker.claim(job_id) is None


async def test_an_older_attempt_can_end_nothing(desk: Desk) -> None:
    job_id = await desk.admit()
    claim = desk.worker.claim(job_id)
    desk.sync.hset(record.job_key(job_id), "attempt", 2)  # as a retry would
    assert not desk.worker.renew(claim)
    assert not desk.worker.end(claim, FINISHED)
    assert await desk.state(job_id) == "running"


async def test_a_job_whose_worker_died_fails_for_its_follower(desk: Desk) -> None:
    job_id = await desk.admit()
    desk.worker.claim(job_id)
    desk.expire_lease(job_id)
    assert (await asyncio.wait_for(desk.last(job_id), 5)).code == WorkerLost.code
    assert await desk.state(job_id) == "failed"


async def test_a_renewed_lease_keeps_a_quiet_job(desk: Desk) -> None:
    job_id = await desk.admit()
    claim = desk.worker.claim(job_id)
    desk.expire_lease(job_id)
    assert desk.worker.renew(claim)
    job = await desk.client.look(job_id)
    assert job and not job.lease_is_over


async def test_a_job_past_its_deadline_expires_for_its_follower(desk: Desk) -> None:
    job_id = await desk.admit()
    desk.sync.hset(record.job_key(job_id), "expires", 1)
    assert (await asyncio.wait_for(desk.last(job_id), 5)).code == "deadline_exceeded"
    assert await desk.state(job_id) == "expired"


async def test_a_forgotten_job_ends_for_its_follower(desk: Desk) -> None:
    assert (await asyncio.wait_for(desk.last("0" * 32), 5)).code == WorkerLost.code


async def test_waiting_jobs_are_told_their_place(desk: Desk) -> None:
    first, second, third = [await desk.admit() for _ in range(3)]
    desk.worker.claim(first)
    for job_id, place in ((second, 1), (third, 2)):
        events = desk.client.follow(job_id)
        assert await asyncio.wait_for(anext(events), 3) == Queued(place)
        await events.aclose()


async def test_exactly_as_many_as_the_limit_enter(desk: Desk) -> None:
    entries = (desk.admit(limit=5) for _ in range(20))
    outcomes = await asyncio.gather(*entries, return_exceptions=True)
    refusals = [outcome for outcome in outcomes if isinstance(outcome, QueueFull)]
    assert len(refusals) == 15
    assert all(5 <= refusal.retry_after_s <= 10 for refusal in refusals)


@pytest.mark.parametrize("ending", ["finish", "fail", "cancel"])
async def test_an_ended_job_makes_room(desk: Desk, ending: str) -> None:
    job_id = await desk.admit(limit=1)
    with pytest.raises(QueueFull):
        await desk.admit(limit=1)
    if ending == "cancel":
        await desk.client.cancel(job_id)
    else:
        failed = Failed.because(EngineError("no"))
        outcome = FINISHED if ending == "finish" else failed
        desk.worker.end(desk.worker.claim(job_id), outcome)
    assert await desk.admit(limit=1)


async def test_jobs_of_processes_that_died_do_not_fill_the_queue(desk: Desk) -> None:
    await desk.admit(limit=1, deadline_s=60)
    for live in (record.LIVE, record.WAITING):
        [(job_id, admitted)] = desk.sync.zrange(live, 0, -1, withscores=True)
        desk.sync.zadd(live, {job_id: admitted - 71})
    assert await desk.admit(limit=1, deadline_s=60)


async def test_nothing_is_kept_for_ever(desk: Desk) -> None:
    job_id = await desk.admit()
    await desk.client.keep(job_id, [PICTURE], deadline_s=60)
    claim = desk.worker.claim(job_id)
    desk.publisher.publish(job_id, 1, Token("a"))
    desk.worker.end(claim, FINISHED)
    keys = desk.sync.keys("*")
    assert keys
    assert all(desk.sync.ttl(key) > 0 for key in keys)


async def test_pictures_travel_beside_the_job(desk: Desk) -> None:
    job_id = await desk.admit()
    await desk.client.keep(job_id, [PICTURE], deadline_s=60)
    claim = desk.worker.claim(job_id)
    assert desk.worker.pictures(claim) == {PICTURE.ref.sha256: PICTURE}


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_pictures_go_when_their_own_job_ends(
    desk: Desk, is_cancelled: bool
) -> None:
    ended, other = await desk.admit(), await desk.admit()
    for job_id in (ended, other):  # two questions about one picture
        await desk.client.keep(job_id, [PICTURE], deadline_s=60)
    if is_cancelled:
        await desk.client.cancel(ended)
    else:
        desk.worker.end(desk.worker.claim(ended), FINISHED)
    assert not desk.sync.exists(record.pictures_key(ended))
    assert desk.worker.pictures(desk.worker.claim(other))


async def test_a_lost_picture_is_a_clear_refusal(desk: Desk) -> None:
    claim = desk.worker.claim(await desk.admit())
    with pytest.raises(Unavailable, match="Send it again"):
        desk.worker.pictures(claim)


async def test_the_fleet_is_who_beat_lately(desk: Desk) -> None:
    info = WorkerInfo("host-1", "tiny", "f" * 64, "stub", n_slots=4)
    assert await fleet.workers(desk.asynchronous) == []
    fleet.beat(desk.sync, info)
    assert await fleet.workers(desk.asynchronous) == [info]
    assert fleet.is_here(desk.sync, "host")
    assert not fleet.is_here(desk.sync, "other")
    [key] = desk.sync.keys("edge:worker:*")
    assert 0 < desk.sync.ttl(key) <= fleet.DEAD_AFTER_S
    fleet.leave(desk.sync, info)
    assert await fleet.workers(desk.asynchronous) == []
