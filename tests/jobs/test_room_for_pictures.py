"""The pixels of unfinished jobs may fill half of the broker's memory; those of one
client half of that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import pytest

from edge.errors import BodyTooLarge, ClientLimit, QueueFull
from edge.images import Picture
from edge.jobs import keys
from edge.jobs.submission import Admitted
from tests.jobs.jobs_harness import BOUNDS, FINISHED, POOL, JobsHarness

pytestmark = pytest.mark.redis

MIB = 1 << 20
SHARE = 4 * MIB  # of one client; of all twice as much


def picture(shade: int, n_bytes: int = MIB) -> Picture:
    return Picture(n_bytes // 4096, 1365, bytes([shade]) * (n_bytes // 4096 * 4095))


def pictures(n: int) -> list[Picture]:
    return [picture(shade) for shade in range(n)]


@pytest.fixture
async def small(harness: JobsHarness) -> AsyncIterator[JobsHarness]:
    """Its broker has 16 MiB."""
    harness.sync.config_set("maxmemory", 4 * SHARE)
    yield harness
    harness.sync.config_set("maxmemory", 0)


async def hold(harness: JobsHarness, job: Admitted, those: Iterable[Picture]) -> bool:
    return await harness.client.hold(job.job_ids, those, POOL, BOUNDS)


async def test_one_client_has_a_share_and_two_have_all(small: JobsHarness) -> None:
    first = await small.admit("one", address="10.0.0.1")
    assert await hold(small, first, pictures(3))
    with pytest.raises(ClientLimit, match=r"one client may take, 4 MiB.*Try again in"):
        await hold(small, await small.admit("one", address="10.0.0.2"), pictures(2))
    with pytest.raises(ClientLimit, match="from your address"):
        await hold(small, await small.admit("two", address="10.0.0.1"), pictures(2))
    assert await hold(small, await small.admit("three"), pictures(4))
    with pytest.raises(QueueFull, match="as many pictures as it can") as refused:
        await hold(small, await small.admit("four"), pictures(2))
    assert not isinstance(refused.value, ClientLimit)
    assert refused.value.retry_after_s


@pytest.mark.parametrize("end", ["answer", "cancel", "sweep", "share"])
async def test_the_room_is_free_when_the_job_ends(small: JobsHarness, end: str) -> None:
    job = await small.admit("one")
    assert await hold(small, job, pictures(4))
    other = await small.admit("one")
    with pytest.raises(ClientLimit):
        await hold(small, other, pictures(1))
    await small.enqueue(job.job_id, pictures=pictures(4), shares=True)
    if end == "answer":
        small.worker.end(small.claim(), FINISHED)
    elif end == "cancel":
        await small.client.cancel(job.job_id)
    elif end == "sweep":
        small.forget(job.job_id)
        await small.reconciler.tick()
    else:  # with the answer to another job
        same = await small.admit("two")
        await small.enqueue(same.job_id, pictures=[], shares=True)
        small.set(same.job_id, score=1)
        small.sync.zadd(keys.WAITING(POOL), {same.job_id: 1})
        small.worker.end(small.claim(), FINISHED)
    assert await hold(small, other, pictures(4))


async def test_room_is_kept_for_all_jobs_of_a_question_or_for_none(
    small: JobsHarness,
) -> None:
    twice = await small.admit("one", n_computed=2)
    assert await hold(small, twice, pictures(2))
    assert await hold(small, twice, pictures(2))  # the same, and counted once
    thrice = await small.admit("two", n_computed=3)
    with pytest.raises(BodyTooLarge, match=r"have 6 MiB as pixels.*may have 4 MiB"):
        await hold(small, thrice, pictures(2))
    assert await hold(small, await small.admit("two"), pictures(4))


async def test_equal_pictures_of_a_job_count_once(small: JobsHarness) -> None:
    job = await small.admit()
    assert await hold(small, job, [picture(1)] * 9)
    await small.enqueue(job.job_id, pictures=[picture(1)] * 9)
    held = int(small.sync.hget(keys.JOB(job.job_id), "picture_bytes") or 0)
    stored = small.sync.hgetall(keys.PICTURES(job.job_id))
    assert held == sum(map(len, stored.values()))


async def test_no_room_is_kept_for_a_job_that_needs_none(small: JobsHarness) -> None:
    ended, queued = await small.admit("one"), await small.admit("one")
    await small.client.cancel(ended.job_id)
    assert not await hold(small, ended, pictures(1))
    await small.enqueue(queued.job_id)
    assert not await hold(small, queued, pictures(1))


async def test_a_broker_without_a_limit_has_that_of_its_machine(
    harness: JobsHarness,
) -> None:
    memory = int(harness.sync.info("memory")["total_system_memory"])
    job = await harness.admit()
    for n_bytes, is_held in ((memory // 4 - MIB, True), (memory // 4 + MIB, False)):
        reply = await harness.client._scripts(
            "hold", job_ids=[job.job_id], n_bytes=n_bytes
        )
        assert (b"held" in reply) is is_held
