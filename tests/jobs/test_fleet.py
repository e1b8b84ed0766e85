"""The fleet: who has beaten lately, and nobody else."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from edge.jobs.fleet import FLEET, INFO, Fleet, Heart, is_here
from edge.jobs.record import DEAD_AFTER_S, KEEP_S
from tests.jobs.desk import WORKER, Desk

pytestmark = pytest.mark.redis

INFO_1 = WORKER
INFO_2 = replace(INFO_1, name="host-2", n_slots=2)


@pytest.fixture
def fleet(desk: Desk) -> Fleet:
    return Fleet(desk.asynchronous)


def aged(desk: Desk, name: str, seconds: float) -> None:
    """Its latest beat was so long ago."""
    desk.sync.zincrby(FLEET, -seconds, name)


async def test_without_beats_there_is_nobody(desk: Desk, fleet: Fleet) -> None:
    assert await fleet.workers() == []
    assert not is_here(desk.sync, "host")


async def test_the_fleet_is_who_beat_lately_by_name(desk: Desk, fleet: Fleet) -> None:
    for info in (INFO_2, INFO_1, INFO_1):
        Heart(desk.sync, info).beat()
    assert await fleet.workers() == [INFO_1, INFO_2]


async def test_a_host_knows_its_own(desk: Desk) -> None:
    Heart(desk.sync, INFO_1).beat()
    assert is_here(desk.sync, "host")
    assert not is_here(desk.sync, "other")
    assert not is_here(desk.sync, "hos")
    [(name, _)] = desk.sync.zrange(FLEET, 0, -1, withscores=True)
    pid = int(name.decode().removeprefix("host-"))
    assert is_here(desk.sync, "host", pid)
    assert not is_here(desk.sync, "host", pid + 1)


async def test_who_leaves_is_gone_at_once(desk: Desk, fleet: Fleet) -> None:
    hearts = [Heart(desk.sync, info) for info in (INFO_1, INFO_2)]
    for heart in hearts:
        heart.beat()
    hearts[0].leave()
    assert await fleet.workers() == [INFO_2]


async def test_who_is_not_heard_of_is_dead_until_it_beats_again(
    desk: Desk, fleet: Fleet
) -> None:
    heart = Heart(desk.sync, INFO_1)
    heart.beat()
    aged(desk, INFO_1.name, DEAD_AFTER_S - 0.5)
    assert await fleet.workers() == [INFO_1]
    aged(desk, INFO_1.name, 1)
    assert await fleet.workers() == []
    assert not is_here(desk.sync, "host")
    heart.beat()
    assert await fleet.workers() == [INFO_1]


async def test_the_dead_are_forgotten_in_the_end(desk: Desk, fleet: Fleet) -> None:
    for info in (INFO_1, INFO_2):
        Heart(desk.sync, info).beat()
    aged(desk, INFO_1.name, KEEP_S + 1)
    await fleet.workers()
    assert desk.sync.zrange(FLEET, 0, -1) == [b"host-2"]
    assert desk.sync.hkeys(INFO) == [b"host-2"]


async def test_those_who_left_are_forgotten_too(desk: Desk, fleet: Fleet) -> None:
    heart = Heart(desk.sync, INFO_1)
    heart.beat()
    heart.leave()
    await fleet.workers()
    assert not desk.sync.exists(INFO)


async def test_a_worker_that_says_something_new_is_believed(
    desk: Desk, fleet: Fleet
) -> None:
    Heart(desk.sync, INFO_1).beat()
    Heart(desk.sync, replace(INFO_1, n_slots=1)).beat()
    [worker] = await fleet.workers()
    assert worker.n_slots == 1


def test_a_pool_is_who_gives_equal_answers() -> None:
    assert INFO_1.pool == INFO_2.pool
    assert INFO_1.pool != replace(INFO_1, fingerprint="other").pool
    assert INFO_1.pool.isalnum()
    assert "pool" not in json.dumps(asdict(INFO_1))
