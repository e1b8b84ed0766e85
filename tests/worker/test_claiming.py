"""Jobs run side by side, a suspect alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import redis

from edge.jobs import reconcile
from edge.jobs.worker_side import Claim
from tests.conftest import wait_for
from tests.jobs.jobs_harness import FINISHED
from tests.worker.worker_harness import WorkerHarness
from worker.claiming import Claiming

pytestmark = pytest.mark.redis


@pytest.fixture(autouse=True)
def leases_are_judged_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "LEASE_S", -1)


@pytest.fixture
def claiming(harness: WorkerHarness) -> Iterator[Claiming]:
    yield harness.claiming
    harness.claiming.close()  # or a failing test would leave a thread waiting


def entering(claiming: Claiming) -> Future[Claim | None]:
    """What a thread of its own gets from the claiming."""
    result: Future[Claim | None] = Future()
    threading.Thread(target=lambda: result.set_result(claiming.claim())).start()
    return result


async def a_suspect(harness: WorkerHarness) -> str:
    job_id = await harness.ask("suspect", text="deadly")
    harness.lose(harness.claim())
    await harness.reconciler.tick()
    return job_id


def came_in(claiming: Claiming) -> str:
    claim = claiming.claim()
    assert claim
    return claim.job_id


def still_waits(result: Future[Claim | None]) -> bool:
    time.sleep(0.3)  # longer than it takes to look again
    return not result.done()


async def test_jobs_run_side_by_side(
    harness: WorkerHarness, claiming: Claiming
) -> None:
    ids = [await harness.ask(f"client {n}") for n in range(3)]
    assert [came_in(claiming) for _ in ids] == ids
    assert claiming.n_running == 3
    assert claiming.claim() is None
    claiming.done()
    assert claiming.n_running == 2


async def test_a_suspect_runs_alone(harness: WorkerHarness, claiming: Claiming) -> None:
    suspect = await a_suspect(harness)
    innocent = await harness.ask("innocent")
    assert came_in(claiming) == suspect
    second = entering(claiming)
    assert still_waits(second)
    claiming.done()
    claim = second.result(60)
    assert claim
    assert claim.job_id == innocent


async def test_a_suspect_waits_until_all_jobs_are_done(
    harness: WorkerHarness, claiming: Claiming
) -> None:
    ids = [await harness.ask(f"client {n}") for n in range(2)]
    for job_id in ids:
        assert came_in(claiming) == job_id
    suspect = await harness.ask("suspect", text="deadly")
    harness.suspect(suspect)
    waiting = entering(claiming)
    assert still_waits(waiting)
    claiming.done()
    assert still_waits(waiting)
    claiming.done()
    claim = waiting.result(60)
    assert claim
    assert claim.job_id == suspect
    assert claiming.n_running == 1


async def test_jobs_behind_a_suspect_start_together(
    harness: WorkerHarness, claiming: Claiming
) -> None:
    await a_suspect(harness)
    ids = {await harness.ask(f"client {n}") for n in range(3)}
    suspect = claiming.claim()
    waiting = [entering(claiming) for _ in range(3)]
    harness.worker.end(suspect, FINISHED)
    claiming.done()
    assert {one.result(60).job_id for one in waiting} == ids


async def test_a_cancelled_suspect_delays_no_job(
    harness: WorkerHarness, claiming: Claiming
) -> None:
    await harness.ask("running")
    came_in(claiming)
    suspect = await harness.ask("suspect")
    harness.suspect(suspect)
    innocent = await harness.ask("innocent")
    waiting = entering(claiming)
    assert still_waits(waiting)
    await harness.client.cancel(suspect)
    claim = waiting.result(60)
    assert claim
    assert claim.job_id == innocent


async def test_a_closed_worker_claims_nothing(
    harness: WorkerHarness, claiming: Claiming
) -> None:
    job_id = await harness.ask()
    claiming.close()
    assert claiming.claim() is None
    assert await harness.state(job_id) == "waiting"


async def test_closing_ends_the_wait_for_a_claim(
    harness: WorkerHarness, claiming: Claiming
) -> None:
    await a_suspect(harness)
    innocent = await harness.ask("innocent")
    came_in(claiming)
    waiting = entering(claiming)
    assert still_waits(waiting)
    claiming.close()
    assert waiting.result(60) is None
    assert await harness.state(innocent) == "waiting"
    assert claiming.n_running == 1


@pytest.mark.parametrize("comes_back", [True, False])
async def test_a_claim_waits_for_the_broker_until_it_is_closed(
    harness: WorkerHarness,
    claiming: Claiming,
    monkeypatch: pytest.MonkeyPatch,
    *,
    comes_back: bool,
) -> None:
    really, has_asked = harness.worker.claim, threading.Event()

    def claim(**options):
        if comes_back and has_asked.is_set():
            return really(**options)
        has_asked.set()
        raise redis.ConnectionError("away")

    monkeypatch.setattr(harness.worker, "claim", claim)
    job_id = await harness.ask()
    waiting = entering(claiming)
    assert has_asked.wait(60)
    if comes_back:
        assert (found := waiting.result(60))
        assert found.job_id == job_id
    else:
        claiming.close()
        assert waiting.result(60) is None
    assert claiming.n_running == comes_back


async def test_asking_is_noticed_during_a_wait(
    harness: WorkerHarness, claiming: Claiming
) -> None:
    await a_suspect(harness)
    came_in(claiming)
    before = claiming.asked_at
    waiting = entering(claiming)
    wait_for(lambda: claiming.asked_at > before)
    entered = claiming.asked_at
    wait_for(lambda: claiming.asked_at > entered)
    assert not waiting.done()


async def test_many_threads_get_each_job_once(
    harness: WorkerHarness, claiming: Claiming
) -> None:
    ids = {await harness.ask(f"client {n}") for n in range(12)}
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda _: claiming.claim(), range(20)))
    assert sorted(c.job_id for c in claims if c) == sorted(ids)
    assert claims.count(None) == 8
    assert claiming.n_running == 12
