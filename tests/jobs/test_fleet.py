"""The fleet: the workers with a recent heartbeat, and no others."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from edge.jobs.fleet import FLEET, INFO, Fleet, Heart, is_here
from edge.jobs.record import KEEP_S
from tests.jobs.jobs_harness import PATIENCE_S, WORKER, JobsHarness

pytestmark = pytest.mark.redis

INFO_1 = WORKER
INFO_2 = replace(INFO_1, name="host-2", n_slots=2)


@pytest.fixture
def fleet(harness: JobsHarness) -> Fleet:
    return Fleet(harness.asynchronous)


def aged(harness: JobsHarness, name: str, seconds: float) -> None:
    """Its latest beat was `seconds` ago."""
    harness.sync.zincrby(FLEET, -seconds, name)


async def test_without_beats_the_fleet_is_empty(
    harness: JobsHarness, fleet: Fleet
) -> None:
    assert await fleet.workers() == []
    assert not is_here(harness.sync, "host")


async def test_the_fleet_lists_recent_beats_by_name(
    harness: JobsHarness, fleet: Fleet
) -> None:
    for info in (INFO_2, INFO_1, INFO_1):
        Heart(harness.sync, info).beat()
    assert await fleet.workers() == [INFO_1, INFO_2]


async def test_a_host_finds_its_own_worker(harness: JobsHarness) -> None:
    Heart(harness.sync, INFO_1).beat()
    assert is_here(harness.sync, "host")
    assert not is_here(harness.sync, "other")
    assert not is_here(harness.sync, "hos")
    [(name, _)] = harness.sync.zrange(FLEET, 0, -1, withscores=True)
    pid = int(name.decode().removeprefix("host-"))
    assert is_here(harness.sync, "host", pid)
    assert not is_here(harness.sync, "host", pid + 1)


async def test_a_host_whose_name_begins_like_another_finds_only_its_own(
    harness: JobsHarness,
) -> None:
    Heart(harness.sync, replace(INFO_1, name="node-gpu-123")).beat()
    assert not is_here(harness.sync, "node")
    assert not is_here(harness.sync, "node", model=INFO_1.model)
    assert is_here(harness.sync, "node-gpu")


async def test_a_leaving_worker_is_gone_at_once(
    harness: JobsHarness, fleet: Fleet
) -> None:
    hearts = [Heart(harness.sync, info) for info in (INFO_1, INFO_2)]
    for heart in hearts:
        heart.beat()
    hearts[0].leave()
    assert await fleet.workers() == [INFO_2]
    assert await fleet.lost() == []


async def test_a_silent_worker_is_dead_until_it_beats_again(
    harness: JobsHarness, fleet: Fleet
) -> None:
    heart = Heart(harness.sync, INFO_1)
    heart.beat()
    aged(harness, INFO_1.name, PATIENCE_S / 2)
    assert await fleet.workers() == [INFO_1]
    aged(harness, INFO_1.name, PATIENCE_S / 2)
    assert await fleet.workers() == []
    assert not is_here(harness.sync, "host")
    assert await fleet.lost() == [INFO_1]
    heart.beat()
    assert await fleet.workers() == [INFO_1]
    assert await fleet.lost() == []


async def test_who_leaves_in_good_order_takes_the_dead_of_its_pool_along(
    harness: JobsHarness, fleet: Fleet
) -> None:
    """Its model is not served any more: nobody is to wait for it."""
    other = replace(INFO_1, name="host-3", fingerprint="another")
    hearts = [Heart(harness.sync, info) for info in (INFO_1, INFO_2, other)]
    for heart in hearts:
        heart.beat()
    for info in (INFO_2, other):
        aged(harness, info.name, PATIENCE_S + 1)
    hearts[0].leave()
    assert await fleet.lost() == [other]
    assert await fleet.workers() == []


async def test_dead_workers_are_removed(harness: JobsHarness, fleet: Fleet) -> None:
    for info in (INFO_1, INFO_2):
        Heart(harness.sync, info).beat()
    aged(harness, INFO_1.name, KEEP_S + 1)
    await fleet.workers()
    assert harness.sync.zrange(FLEET, 0, -1) == [b"host-2"]
    assert harness.sync.hkeys(INFO) == [b"host-2"]


async def test_workers_that_left_are_removed_too(
    harness: JobsHarness, fleet: Fleet
) -> None:
    heart = Heart(harness.sync, INFO_1)
    heart.beat()
    heart.leave()
    await fleet.workers()
    assert not harness.sync.exists(INFO)


async def test_what_only_a_newer_worker_says_is_left_out(
    harness: JobsHarness, fleet: Fleet
) -> None:
    Heart(harness.sync, INFO_1).beat()
    newer = json.dumps(asdict(INFO_1) | {"colour": "red"})
    harness.sync.hset(INFO, INFO_1.name, newer)
    assert await fleet.workers() == [INFO_1]


async def test_new_info_of_a_worker_replaces_the_old(
    harness: JobsHarness, fleet: Fleet
) -> None:
    Heart(harness.sync, INFO_1).beat()
    Heart(harness.sync, replace(INFO_1, n_slots=1)).beat()
    [worker] = await fleet.workers()
    assert worker.n_slots == 1


def test_workers_of_equal_fingerprint_are_a_pool() -> None:
    assert INFO_1.pool == INFO_2.pool
    assert INFO_1.pool != replace(INFO_1, fingerprint="other").pool
    assert INFO_1.pool.isalnum()
    assert "pool" not in json.dumps(asdict(INFO_1))
