"""Redis restarts, hangs, fills up, is slow to reach or vanishes."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import httpx
import pytest

from tests.faults.asking import NO_WORKER, Outcome, answered, ask, is_ready, until
from tests.faults.conftest import Start
from tests.faults.proxy import BadNetwork

pytestmark = [pytest.mark.redis, pytest.mark.faults]

HONEST = {"length", "service_unavailable", "no_worker", "worker_lost", "queue_full"}


async def closed_loop(url: str, key: str, until_s: float) -> list[Outcome]:
    """Asks again and again; a refusal is followed by a short pause."""
    outcomes = []
    while time.monotonic() < until_s:
        outcomes.append(await ask(url, n=20, key=key, stream=key < "c"))
        if outcomes[-1].status != 200:
            await asyncio.sleep(0.2)
    return outcomes


@pytest.mark.slow
async def test_three_restarts_of_the_broker_under_load(start: Start) -> None:
    """F8, P8: each time it is answering again within 10 s, by itself."""
    with start() as service:
        stop_at = time.monotonic() + 26
        loops = [
            asyncio.create_task(closed_loop(service.url, key, stop_at))
            for key in "abcd"
        ]
        pid = service.pid("worker0")
        for _ in range(3):
            await asyncio.sleep(3)
            service.broker.kill()
            await asyncio.sleep(1)
            service.broker.start()
            began = time.monotonic()
            while (await ask(service.url, n=2, key="probe")).status not in (200, 429):
                assert time.monotonic() - began < 10
                await asyncio.sleep(0.2)
        outcomes = [one for loop in await asyncio.gather(*loops) for one in loop]
        assert {one.end for one in outcomes} <= HONEST, outcomes
        assert sum(one.is_right for one in outcomes if one.status == 200) > 20
        assert service.pid("worker0") == pid
        assert all(one.seconds < 15 for one in outcomes)


async def test_answers_survive_a_restart_of_the_broker(start: Start) -> None:
    """P8: in the making, and shown in part, when it goes; whole in the end."""
    with start() as service:
        tasks = [
            *service.start_asking("a", n=300, by=ask),
            asyncio.create_task(ask(service.url, "b", 300, stream=False, key="x")),
        ]
        with service.slowly():
            await service.until_begun(*tasks)
        await asyncio.sleep(1.5)  # the log is written each second
        service.broker.kill()
        await asyncio.sleep(1)
        service.broker.start()
        outcomes = await asyncio.gather(*tasks)
        assert all(one.end in HONEST for one in outcomes)


async def test_a_broker_that_loses_its_data_leaves_no_client_hanging(
    start: Start,
) -> None:
    """F9: no log on disk, all jobs are gone with it."""
    with start(broker="appendonly no\n") as service:
        tasks = service.start_asking(*"abcd", n=300, by=ask)
        with service.slowly():
            await service.until_begun(*tasks[:2])
            began = time.monotonic()
            service.broker.kill()
        service.broker.start()
        outcomes = await asyncio.gather(*tasks)
        assert all(one.end in HONEST - {"length"} for one in outcomes)
        assert time.monotonic() - began < 100
        await until(lambda: is_ready(service.url))
        assert (await answered(service.url, "after")).is_right


@pytest.mark.slow
async def test_a_broker_that_hangs_delays_or_refuses(start: Start) -> None:
    """F10: nothing is asked twice, nothing hangs longer than a time-out."""
    with start() as service:
        [shown] = service.start_asking("shown", n=200, by=ask)
        await service.until_begun(shown)
        os.kill(service.broker.process.pid, signal.SIGSTOP)
        began = time.monotonic()
        try:
            refused = await ask(service.url, "new")
        finally:
            os.kill(service.broker.process.pid, signal.SIGCONT)
        assert (refused.status, refused.end) == (503, "service_unavailable")
        assert refused.retry_after
        assert time.monotonic() - began < 12
        assert (await shown).end in HONEST
        assert (await answered(service.url, "after")).is_right


async def test_a_full_broker_refuses_and_finishes_what_it_has(start: Start) -> None:
    """F11."""
    with start() as service:
        client = service.broker.client
        [shown] = service.start_asking("shown", n=150, by=ask)
        with service.slowly():
            await service.until_begun(shown)
            used = client.info("memory")["used_memory"]
            client.config_set("maxmemory", used // 2)
            refused = await ask(service.url, "new", key="other")
        assert (refused.status, refused.end) == (503, "service_unavailable")
        assert refused.seconds < 20 and refused.retry_after
        assert (await shown).is_right
        client.config_set("maxmemory", 0)
        assert (await answered(service.url, "after")).is_right


@pytest.mark.slow
async def test_without_a_cache_it_is_only_slower(start: Start) -> None:
    """P9: gone, and hanging."""
    with start(answer_cache="on") as service:
        assert (await answered(service.url, "same")).is_right
        away = {"away": NO_WORKER}
        os.kill(service.cache.process.pid, signal.SIGSTOP)
        outcomes = [await answered(service.url, "same", **away) for _ in range(4)]
        os.kill(service.cache.process.pid, signal.SIGCONT)
        assert all(one.is_right for one in outcomes)
        assert sum(one.seconds for one in outcomes) < 60
        service.cache.kill()
        outcomes = [await answered(service.url, "same", **away) for _ in range(4)]
        assert all(one.is_right and one.seconds < 30 for one in outcomes)


@pytest.mark.slow
async def test_a_bad_network_to_the_broker_changes_no_text(start: Start) -> None:
    """F12: far away, in pieces of one byte, cut in the middle."""
    with start() as plain:
        async with BadNetwork(plain.broker.port) as network:
            url = f"redis://127.0.0.1:{network.port}/0"
            command, pid = plain.children["web0"].part, plain.pid("web0")
            command.env = command.env | {"EDGE_BROKER_URL": url}
            plain.send("web0")
            await until(lambda: plain.pid("web0") != pid)
            await until(lambda: is_ready(plain.url))
            network.slice_bytes = 1
            assert (await answered(plain.url, "in pieces", n=30)).is_right
            network.slice_bytes, network.delay_s = 0, 0.2
            assert (await answered(plain.url, "far away", n=30)).is_right
            network.delay_s = 0.0
            task = asyncio.create_task(ask(plain.url, "cut", n=150))
            await plain.until_begun(task)
            network.reset()
            assert (await task).end in HONEST
            assert (await answered(plain.url, "after")).is_right
        assert httpx.get(plain.url + "/health").status_code == 200
