"""Who may run beside whom: jobs side by side, a suspect alone."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import redis

from edge.jobs import reconcile
from edge.jobs.worker_side import Claim
from tests.jobs.desk import FINISHED, Desk
from worker.gate import Gate

pytestmark = pytest.mark.redis


@pytest.fixture
async def desk(broker_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(reconcile, "LEASE_S", -1)
    one = Desk(broker_url)
    yield one
    await one.close()


@pytest.fixture
async def gate(desk: Desk) -> AsyncIterator[Gate]:
    one = Gate(desk.worker)
    yield one
    one.close()  # or a failing test would leave a thread waiting


def entering(gate: Gate) -> Future[Claim | None]:
    """What a thread of its own gets from the gate."""
    result: Future[Claim | None] = Future()
    threading.Thread(target=lambda: result.set_result(gate.enter())).start()
    return result


async def a_suspect(desk: Desk) -> str:
    job_id = await desk.ask("suspect", text="deadly")
    desk.lose(desk.claim())
    await desk.reconciler.tick()
    return job_id


def came_in(gate: Gate) -> str:
    claim = gate.enter()
    assert claim
    return claim.job_id


def still_waits(result: Future[Claim | None]) -> bool:
    time.sleep(0.3)  # longer than it takes to look again
    return not result.done()


async def test_jobs_go_in_side_by_side(desk: Desk, gate: Gate) -> None:
    ids = [await desk.ask(f"client {n}") for n in range(3)]
    assert [came_in(gate) for _ in ids] == ids
    assert gate.n_running == 3
    assert gate.enter() is None
    gate.leave()
    assert gate.n_running == 2


async def test_a_suspect_goes_in_alone_into_an_empty_worker(
    desk: Desk, gate: Gate
) -> None:
    suspect = await a_suspect(desk)
    innocent = await desk.ask("innocent")
    assert came_in(gate) == suspect
    second = entering(gate)
    assert still_waits(second)
    gate.leave()
    claim = second.result(2)
    assert claim
    assert claim.job_id == innocent


async def test_a_suspect_waits_until_all_have_left(desk: Desk, gate: Gate) -> None:
    ids = [await desk.ask(f"client {n}") for n in range(2)]
    for job_id in ids:
        assert came_in(gate) == job_id
    suspect = await desk.ask("suspect", text="deadly")
    desk.suspect(suspect)
    waiting = entering(gate)
    assert still_waits(waiting)
    gate.leave()
    assert still_waits(waiting)
    gate.leave()
    claim = waiting.result(2)
    assert claim
    assert claim.job_id == suspect
    assert gate.n_running == 1


async def test_those_behind_a_suspect_go_in_together_after_it(
    desk: Desk, gate: Gate
) -> None:
    await a_suspect(desk)
    ids = {await desk.ask(f"client {n}") for n in range(3)}
    suspect = gate.enter()
    waiting = [entering(gate) for _ in range(3)]
    desk.worker.end(suspect, FINISHED)
    gate.leave()
    assert {one.result(2).job_id for one in waiting} == ids


async def test_a_suspect_that_is_cancelled_holds_up_nobody(
    desk: Desk, gate: Gate
) -> None:
    await desk.ask("running")
    came_in(gate)
    suspect = await desk.ask("suspect")
    desk.suspect(suspect)
    innocent = await desk.ask("innocent")
    waiting = entering(gate)
    assert still_waits(waiting)
    await desk.client.cancel(suspect)
    claim = waiting.result(2)
    assert claim
    assert claim.job_id == innocent


async def test_a_closed_gate_lets_nobody_in(desk: Desk, gate: Gate) -> None:
    job_id = await desk.ask()
    gate.close()
    assert gate.enter() is None
    assert await desk.state(job_id) == "waiting"


async def test_closing_sends_those_away_who_wait(desk: Desk, gate: Gate) -> None:
    await a_suspect(desk)
    innocent = await desk.ask("innocent")
    came_in(gate)
    waiting = entering(gate)
    assert still_waits(waiting)
    gate.close()
    assert waiting.result(1) is None
    assert await desk.state(innocent) == "waiting"
    assert gate.n_running == 1


async def test_who_finds_no_broker_has_not_gone_in(
    desk: Desk, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def claim(**_options):
        raise redis.ConnectionError("away")

    with monkeypatch.context() as patch, pytest.raises(redis.ConnectionError):
        patch.setattr(desk.worker, "claim", claim)
        gate.enter()
    assert gate.n_running == 0
    job_id = await desk.ask()
    assert came_in(gate) == job_id


async def test_knocking_is_noticed_while_one_waits_too(desk: Desk, gate: Gate) -> None:
    await a_suspect(desk)
    came_in(gate)
    before = gate.knocked
    waiting = entering(gate)
    assert still_waits(waiting)
    assert gate.knocked > before + 0.2


async def test_many_threads_get_each_job_once(desk: Desk, gate: Gate) -> None:
    ids = {await desk.ask(f"client {n}") for n in range(12)}
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda _: gate.enter(), range(20)))
    assert sorted(c.job_id for c in claims if c) == sorted(ids)
    assert claims.count(None) == 8
    assert gate.n_running == 12
