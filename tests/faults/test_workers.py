"""Workers die, hang, fail and leave: each question still has one outcome."""

from __future__ import annotations

import asyncio
import signal
import time

import httpx
import pytest

from edge.jobs import keys
from tests.faults.asking import answered, ask, is_not_ready, is_ready, until
from tests.faults.conftest import Start, ready
from tests.jobs.jobs_harness import undocumented_keys

pytestmark = [pytest.mark.redis, pytest.mark.nginx, pytest.mark.faults]


async def test_streams_of_a_killed_worker_end_with_an_error_frame(service) -> None:
    """F1, P5: waiting questions are answered by the next worker."""
    shown = service.start_asking("a", "b", n=300)
    with service.slowly():
        await service.until_begun(*shown)
        waiting = service.start_asking(*"cdefgh", n=10)
        await until(lambda: service.n_live() == 8)
        killed = time.monotonic()
        service.send("worker0")
    for outcome in await asyncio.gather(*shown):
        assert (outcome.end, outcome.is_done) == ("worker_lost", True)
        assert outcome.text
        assert outcome.began + outcome.seconds - killed < 40
    outcomes = await asyncio.gather(*waiting)
    assert all(one.is_right and len(one.text) == 10 for one in outcomes), outcomes


async def test_unshown_answers_are_retried_unnoticed(service) -> None:
    """P5: two whole answers, in the making when the worker dies."""
    tasks = service.start_asking("a", "b", n=100, stream=False)
    with service.slowly():
        await service.until_begun(*tasks)
        service.send("worker0")
    outcomes = await asyncio.gather(*tasks)
    assert all(one.status == 200 and one.is_right for one in outcomes), outcomes


@pytest.mark.parametrize(
    "fault", [pytest.param("[abort]", marks=pytest.mark.slow), "[segv]"]
)
async def test_a_poison_is_quarantined_and_its_neighbours_are_answered(
    service, fault: str
) -> None:
    """P6: at most two deaths, and the same question is refused from then on."""
    first = service.start_asking("innocent", n=150, stream=False)
    with service.slowly():
        await service.until_begun(*first)
    tasks = service.start_asking(f"poison {fault}", stream=False)
    behind = service.start_asking(*(f"behind {n}" for n in range(6)), n=5)
    poison = (await asyncio.gather(*tasks))[0]
    assert (poison.status, poison.end) == (500, "request_quarantined")
    innocents = await asyncio.gather(*first, *behind)
    assert all(one.is_right for one in innocents), innocents
    again = await answered(service.url, f"poison {fault}")
    assert (again.status, again.end) == (500, "request_quarantined")
    assert again.seconds < 20


async def test_one_answer_that_fails_fails_alone(service) -> None:
    """F5: no logits for one, a whole answer for the other."""
    good, bad = service.start_asking("good", "[nan]", n=60)
    outcome = await bad
    assert (outcome.status, outcome.end) in [
        (200, "engine_error"),
        (500, "engine_error"),
    ]
    pid = service.pid("worker0")
    good = await good
    assert good.end in ("length", "engine_error")  # those in one batch fail together
    assert (await answered(service.url, "after")).is_right
    assert service.pid("worker0") == pid


@pytest.mark.slow
async def test_a_hung_engine_is_ended_and_the_service_goes_on(start: Start) -> None:
    """F4: the watchdog, and the truth about it meanwhile."""
    with start(hang_s="7") as service:
        [hung] = service.start_asking("[hang]", stream=False)
        await asyncio.sleep(6.5)
        assert not await is_ready(service.url)
        refused = await ask(service.url, "new")
        assert (refused.status, refused.end) == (503, "no_worker")
        assert int(refused.retry_after or 0) >= 1
        outcome = await hung  # it was tried once more, and hung again
        assert (outcome.status, outcome.end) == (500, "request_quarantined")
        ready(service)
        assert (await answered(service.url, "after")).is_right
        assert "has made no step" in service.log("worker0")


@pytest.mark.slow
async def test_a_worker_that_was_stopped_for_a_while_can_change_nothing(
    start: Start,
) -> None:
    """F7, P7: SIGSTOP past its lease, another does its job, SIGCONT."""
    with start(n_slots=4, n_workers=2) as service:
        tasks = service.start_asking("a", "b", "c", "d", n=150, stream=False)
        with service.slowly():
            await service.until_begun(*tasks)
            service.send("worker0", signal.SIGSTOP)
        try:
            outcomes = await asyncio.gather(*tasks)
        finally:
            service.send("worker0", signal.SIGCONT)
        assert all(one.is_right and len(one.text) == 150 for one in outcomes), outcomes
        ready(service, 4)  # it is taken back
        assert (await answered(service.url, "after")).is_right


@pytest.mark.slow
async def test_capacity_follows_the_workers(start: Start) -> None:
    """Two workers run four at once; with one gone, two, and nothing is lost."""
    with start(n_slots=4, n_workers=2) as service:
        tasks = service.start_asking(*"abcdef", n=100, stream=False)
        with service.slowly():
            await service.until_running(4)
            service.leave_dead("worker1").process.kill()
        outcomes = await asyncio.gather(*tasks)
        assert all(one.is_right for one in outcomes)
        state = f"{service.url}/ready"
        await until(lambda: httpx.get(state, timeout=30).json().get("slots") == 2)


@pytest.mark.slow
async def test_work_goes_only_to_workers_of_the_same_model(start: Start) -> None:
    """F26: two fingerprints, one broker."""
    with start() as service:
        shown = service.start_asking("a", "b", n=600)
        await service.until_running()
        waiting = service.start_asking(*"cde", n=30)
        service.add_worker("other", "--tower", "another")
        ready(service, 4)
        service.leave_dead("worker0").process.kill()
        lost = await asyncio.gather(*shown)
        assert [one.end for one in lost] == ["worker_lost"] * 2
        assert (await answered(service.url, "for the other", key="new")).is_right
        done, pending = await asyncio.wait(waiting, timeout=2)
        assert not done
        for one in pending:
            one.cancel()


async def test_a_worker_asked_to_stop_lets_answers_end(start: Start) -> None:
    """P15: running ones finish, new ones are refused, waiting ones stay."""
    with start() as service:
        shown = service.start_asking("a", "b", n=100)
        with service.slowly():
            await service.until_begun(*shown)
            waiting = service.start_asking(*"cdef", n=5)
            await until(lambda: service.n_live() == 6)
            child = service.leave_dead("worker0")
            child.ask()
            await until(lambda: is_not_ready(service.url))
            refused = await ask(service.url, "new")
            assert (refused.status, refused.end) == (503, "no_worker")
            assert refused.retry_after
        stopped_at = time.monotonic()
        outcomes = await asyncio.gather(*shown)
        assert all(one.is_right and len(one.text) == 100 for one in outcomes)
        await until(lambda: not child.is_alive)
        assert time.monotonic() - stopped_at < 60
        service.add_worker("next")
        assert all(one.is_right for one in await asyncio.gather(*waiting))


@pytest.mark.slow
async def test_an_answer_that_outlasts_the_grace_is_given_back(start: Start) -> None:
    """P15: shown text ends with an error frame, the rest waits for the next worker."""
    with start(grace_s="1") as service:
        [shown] = service.start_asking("a", n=1000)
        [unseen] = service.start_asking("b", n=100, stream=False)
        with service.slowly():
            await service.until_begun(shown, unseen)
            child = service.leave_dead("worker0")
            child.ask()
            await until(shown.done)
        outcome = await shown
        assert (outcome.end, outcome.is_done) == ("shutting_down", True)
        await until(lambda: not child.is_alive)
        service.add_worker("next")
        assert (await unseen).is_right


@pytest.mark.slow
@pytest.mark.parametrize("when", ["loading", "twice"])
async def test_a_storm_of_signals_leaves_nothing_behind(start: Start, when) -> None:
    """F29."""
    with start() as service:
        options = ["--load-s", "30"] if when == "loading" else []
        service.add_worker("victim", *options)
        await asyncio.sleep(4)
        child = service.leave_dead("victim")
        for _ in range(5):
            child.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.05)
        await until(lambda: not child.is_alive, 10)
        assert (await answered(service.url, "after")).is_right


async def test_a_lost_message_is_replaced(service) -> None:
    """F2: the job waits without a message in the queue."""
    shown = service.start_asking("a", "b", n=100)
    broker = service.broker
    with service.slowly():
        await service.until_begun(*shown)
        waiting = service.start_asking("c", "d", n=5)
        await until(lambda: sum(map(broker.client.llen, broker.find(keys.QUEUE))) == 2)
        for key in broker.find(keys.QUEUE):
            broker.client.delete(key)
    outcomes = await asyncio.gather(*shown, *waiting)
    assert all(one.is_right for one in outcomes)


async def test_every_key_of_a_live_broker_is_in_the_table(service) -> None:
    """Celery's own too."""
    tasks = service.start_asking(*"abcd", n=30, headers={"idempotency-key": "one"})
    service.send("worker0")
    await asyncio.gather(*tasks)
    assert undocumented_keys(service.broker.client) == []
