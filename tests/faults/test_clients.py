"""Clients come in crowds, leave, come back and ask twice."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from typing import Any

import pytest

from edge import host
from edge.jobs import keys
from edge.stubs.runtime import LONG_ANSWER
from tests.faults.asking import (
    PATH,
    Outcome,
    address_of,
    answered,
    ask,
    body,
    client_of,
    is_not_ready,
    is_ready,
    until,
)
from tests.faults.conftest import Start, ready
from tests.faults.service import Service

pytestmark = [pytest.mark.redis, pytest.mark.nginx, pytest.mark.faults]


async def job(service: Service, job_id: str, key: str = "", how: str = "GET"):
    async with client_of(key) as client:
        return await client.request(how, f"{service.url}/v1/jobs/{job_id}")


async def test_exactly_the_free_places_are_given(service) -> None:
    """F20, F30: 40 in the same moment, 2 slots and 16 places."""
    crowd = [answered(service.url, f"q{n}", 60, key=f"crowd{n}") for n in range(40)]
    with service.slowly():  # no place is free again before all have asked
        tasks = [asyncio.create_task(one) for one in crowd]
        await until(lambda: sum(task.done() for task in tasks) == 22)
    outcomes = await asyncio.gather(*tasks)
    given = [one for one in outcomes if one.status == 200]
    refused = [one for one in outcomes if one.status == 429]
    assert (len(given), len(refused)) == (18, 22)
    assert all(one.is_right for one in given)
    assert all(one.end == "queue_full" for one in refused)
    pauses = [int(one.retry_after or 0) for one in refused]
    assert all(1 <= pause <= 60 for pause in pauses)
    assert (await answered(service.url, "after")).is_right


@pytest.mark.parametrize("stream", [True, False])
async def test_a_crowd_with_one_question_is_answered_together(
    start: Start, stream: bool
) -> None:
    """F30: with a shared cache, waiting clients get the first answer."""
    with start(answer_cache="on", share="all") as service:
        asking = [
            answered(service.url, "the same", 60, key=f"crowd{n}", stream=stream)
            for n in range(16)
        ]
        with service.slowly():  # all wait for the first answer
            tasks = [asyncio.create_task(one) for one in asking]
            await until(lambda: service.n_live() == 16)
        outcomes = await asyncio.gather(*tasks)
        assert all(one.is_right and len(one.text) == 60 for one in outcomes)
        jobs = service.broker.find(keys.JOB)
        attempts = [service.broker.client.hget(key, "attempt") for key in jobs]
        assert sum(map(int, attempts)) <= 2, "more were computed than there are slots"


async def test_one_client_cannot_take_all_places(service) -> None:
    many = [answered(service.url, f"q{n}", 40, key="greedy") for n in range(14)]
    tasks = [asyncio.create_task(one) for one in many]
    with service.slowly():
        await until(lambda: service.n_live() == 9)
        modest = asyncio.create_task(answered(service.url, "other", 5, key="modest"))
        await until(lambda: service.n_live() == 10)
    other = await modest
    outcomes = await asyncio.gather(*tasks)
    assert other.is_right
    ends = [one.end for one in outcomes]
    assert ends.count("client_limit") == 5 and ends.count("length") == 9
    # it was not last: the greedy client's later questions let it pass
    last = max(one.began + one.seconds for one in outcomes)
    assert other.began + other.seconds < last


async def test_batch_jobs_let_interactive_jobs_pass(service) -> None:
    shown = service.start_asking("a", "b", n=60)
    with service.slowly():
        await service.until_begun(*shown)
        batch = [
            asyncio.create_task(
                answered(service.url, f"b{n}", 30, key=f"b{n}", service_tier="flex")
            )
            for n in range(4)
        ]
        await until(lambda: service.n_live() == 6)
        asked = asyncio.create_task(answered(service.url, "p", 30, key="person"))
        await until(lambda: service.n_live() == 7)
    person = await asked
    outcomes = await asyncio.gather(*batch, *shown)
    assert all(one.is_right for one in (person, *outcomes))
    ended = person.began + person.seconds
    assert sum(one.began + one.seconds < ended for one in outcomes[:4]) <= 1


async def test_a_waiting_client_is_told_position_and_start(service) -> None:
    shown = service.start_asking("a", "b", n=150)
    with service.slowly():
        await service.until_begun(*shown)
        asked = asyncio.create_task(answered(service.url, "c", 5, key="c"))
        await until(lambda: service.n_live() == 3)
        await asyncio.sleep(2)  # it is told each second
    waiting = await asked
    told = [line.removeprefix("progress ") for line in waiting.comments]
    places = [json.loads(line) for line in told if '"position": 1' in line]
    starts_s = [place["starts_in_s"] for place in places]
    assert starts_s and None not in starts_s
    assert starts_s == sorted(starts_s, reverse=True) or len(set(starts_s)) == 1
    await asyncio.gather(*shown)


async def test_a_job_is_visible_only_to_its_caller(service) -> None:
    """P11."""
    task = asyncio.create_task(answered(service.url, "x", 500, key="me"))
    with service.slowly():
        await service.until_running(1)
        [job_id] = [
            key.rpartition(":")[2]
            for key in service.broker.find(keys.JOB)
            if service.broker.client.hget(key, "state") == b"running"
        ]
        for foreign in ("", "somebody"):
            for how in ("GET", "DELETE"):
                assert (await job(service, job_id, foreign, how)).status_code == 404
        status = (await job(service, job_id, "me")).json()
        assert (status["status"], status["attempt"]) == ("running", 1)
        began = time.monotonic()
        ended = await job(service, job_id, "me", "DELETE")
        assert (ended.status_code, ended.json()["status"]) == (200, "cancelled")
    outcome = await task
    assert (outcome.end, outcome.job_id) == ("cancelled", job_id)
    await until(lambda: service.n_live() == 0, 30)
    assert time.monotonic() - began < 40
    again = await job(service, job_id, "me", "DELETE")
    assert (again.status_code, again.json()["status"]) == (200, "cancelled")
    for hostile in ("0" * 32, "..%2f..", "x" * 5000, "'; DROP", "edge:live:a"):
        assert (await job(service, hostile, "me")).status_code in (404, 414)


@pytest.mark.parametrize("when", ["queued", "before a byte", "streaming"])
async def test_a_client_that_leaves_frees_its_slot(service, when: str) -> None:
    """F17, P10: through nginx."""
    others = service.start_asking("a", "b", n=150) if when == "queued" else []
    with service.slowly():
        if others:
            await service.until_begun(*others)
        await ask(
            service.url,
            "leaves",
            2000,
            hang_up_s=1.0,
            stream=when == "streaming",
            key="z",
        )
        began = time.monotonic()
        # sooner than its answer would end
        await until(lambda: service.n_live() == len(others), 60)
        assert time.monotonic() - began < 70
    assert all(one.is_right for one in await asyncio.gather(*others))
    assert (await answered(service.url, "after", 5)).is_right


async def test_a_hundred_that_leave_leave_no_trace(service) -> None:
    """P10, as vLLM tests it: then one that stays is answered as if alone."""
    for _ in range(5):
        leaving = (
            ask(service.url, f"l{n}", 3000, hang_up_s=0.5, key=f"l{n}")
            for n in range(20)
        )
        await asyncio.gather(*leaving)
    await until(lambda: service.n_live() == 0, 30)  # sooner than an answer would end
    outcome = await answered(service.url, "stays", 5)
    assert outcome.is_right and outcome.seconds < 30


async def test_a_question_asked_twice_under_one_name_is_one_job(service) -> None:
    """F19: at once, afterwards, and after the worker died of something else."""
    named = {"idempotency-key": "order 66"}
    question: dict[str, Any] = {"n": 100, "key": "me", "headers": named}
    both = [answered(service.url, "x", **question) for _ in range(2)]
    first, second = await asyncio.gather(*both)
    third = await answered(service.url, "x", **question)
    assert first.is_right
    assert first.job_id == second.job_id == third.job_id
    assert first.text == second.text == third.text
    other = await answered(service.url, "x", **question | {"key": "you"})
    assert other.job_id != first.job_id
    reused = await answered(service.url, "y", **question)
    assert (reused.status, reused.end) == (409, "idempotency_key_reused")


async def test_a_named_question_outlives_its_connection(service) -> None:
    named = {"idempotency-key": "n1"}
    question: dict[str, Any] = {"n": 100, "key": "me", "headers": named}
    gone = await answered(service.url, "x", **question, hang_up_s=0.8)
    assert gone.has_hung_up
    service.send("worker0")
    question["headers"] = named | {"last-event-id": str(len(gone.text))}
    resumed = await answered(service.url, "x", **question)
    # text was shown before the worker died: told, not repeated
    assert resumed.end in ("worker_lost", "length")
    assert resumed.job_id == gone.job_id or not gone.job_id
    if resumed.end == "length":
        assert gone.text + resumed.text == LONG_ANSWER[:100]


async def test_a_stream_goes_on_after_the_chunk_that_was_last(service) -> None:
    whole = await answered(service.url, "x", 60, key="me")
    async with client_of("me") as client:
        for at in (0, 1, 17, 60, 61, 999):
            got = await client.get(
                f"{service.url}/v1/jobs/{whole.job_id}/events",
                headers={"last-event-id": str(at)},
            )
            chunks = [
                json.loads(line[6:])
                for line in got.text.splitlines()
                if line.startswith("data: {")
            ]
            texts = [c["choices"][0]["delta"].get("content", "") for c in chunks]
            assert "".join(texts) == whole.text[at:]
            assert chunks[-1]["choices"][0]["finish_reason"] == "length"
            assert {chunk["id"] for chunk in chunks} == {f"chatcmpl-{whole.job_id}"}


async def test_cancelling_at_any_moment_gives_one_end(service) -> None:
    """F21: at the start, in the middle, at the last token, twice."""
    draw = random.Random(7)

    async def one(n: int) -> Outcome:
        name = {"idempotency-key": f"race {n}"}
        task = asyncio.create_task(
            answered(service.url, f"race {n}", 8, key=f"r{n}", headers=name)
        )
        await asyncio.sleep(draw.random() * 0.5)
        client = service.broker.client
        names = [
            key for key in service.broker.find(keys.IDEMPOTENCY) if f"race {n}" in key
        ]
        for key in names * 2:
            if job_id := client.get(key):  # a name is free again when it was not run
                await job(service, job_id.decode(), f"r{n}", "DELETE")
        return await task

    for _ in range(3):
        outcomes = await asyncio.gather(*(one(n) for n in range(6)))
        assert {outcome.end for outcome in outcomes} <= {"length", "cancelled"}
        for key in service.broker.find(keys.IDEMPOTENCY):
            service.broker.client.delete(key)


@pytest.mark.slow
async def test_a_deadline_counts_the_time_in_the_queue(start: Start) -> None:
    """F22, P12: a job that is late in the queue is never computed."""
    with start(deadline_s="10") as service:
        tasks = service.start_asking(*"abcdef", n=400)
        with service.slowly():
            await service.until_begun(*tasks[:2])
            waiting = await answered(service.url, "late", 60, key="late", stream=False)
            outcomes = await asyncio.gather(*tasks)
        assert (waiting.status, waiting.end) == (504, "deadline_exceeded")
        assert waiting.seconds < 90
        for outcome in outcomes:
            assert outcome.end == "deadline_exceeded"
            assert 9 < outcome.seconds < 90
        client = service.broker.client
        jobs = service.broker.find(keys.JOB)
        attempts = [client.hget(key, "attempt") for key in jobs]
        assert attempts.count(b"0") >= 1
        assert (await answered(service.url, "after", 5)).is_right


@pytest.mark.slow
async def test_a_web_process_that_dies_leaves_no_slot_taken(start: Start) -> None:
    """F16: its clients may continue at another; jobs without a client end."""
    with start(n_webs=2) as service:
        other = f"http://127.0.0.1:{service.ports[1]}"
        await until(lambda: is_ready(other))
        [kept] = service.start_asking("kept", n=300)
        left = asyncio.create_task(answered(service.url, "left", 3000, key="left"))
        tasks = [kept, left]
        with service.slowly():
            await service.until_begun(*tasks)
            jobs = {}
            client = service.broker.client
            for key in service.broker.find(keys.JOB):
                if client.hget(key, "state") == b"running":
                    jobs[key.rpartition(":")[2]] = client.hget(key, "owner")
            service.leave_dead("web0").process.kill()
        outcomes = await asyncio.gather(*tasks)
        assert {one.end for one in outcomes} == {"RemoteProtocolError"}
        kept_id = None
        async with client_of("k0") as http:
            for job_id in jobs:
                headers = {"last-event-id": "0"}
                url = f"{other}/v1/jobs/{job_id}/events"
                if (
                    await http.get(url.removesuffix("/events"), headers=headers)
                ).is_success:
                    kept_id = job_id
                    got = await http.get(url, headers=headers)
        assert kept_id and '"finish_reason": "length"' in got.text
        await until(lambda: service.n_live() == 0, 50)
        states = {client.hget(keys.JOB(job_id), "state") for job_id in jobs}
        assert states == {b"finished", b"cancelled"}


@pytest.mark.slow
async def test_a_stopped_web_process_lets_answers_end(start: Start) -> None:
    """P15."""
    with start(grace_s="20") as service:
        [short] = service.start_asking("short", n=60)
        long = asyncio.create_task(answered(service.url, "long", 4000, key="long"))
        await service.until_begun(short, long)
        child = service.leave_dead("web0")
        began = time.monotonic()
        child.ask()
        await until(lambda: is_not_ready(service.url))
        refused = await ask(service.url, "new")
        assert (refused.status, refused.end) == (503, "shutting_down")
        assert not await is_ready(service.url)
        assert (await short).is_right
        outcome = await long
        assert (outcome.end, outcome.is_done) == ("shutting_down", True)
        await until(lambda: not child.is_alive, 90)
        assert time.monotonic() - began < 100


async def test_a_reload_of_nginx_breaks_no_stream(service) -> None:
    """F15."""
    tasks = service.start_asking("a", "b", n=100)
    with service.slowly():
        await service.until_begun(*tasks)
        service.send("nginx", signal.SIGHUP)
    assert (await answered(service.url, "new", 5, key="c")).is_right
    assert all(one.is_right for one in await asyncio.gather(*tasks))


async def test_a_dead_nginx_frees_the_slots_of_its_clients(service) -> None:
    """F15."""
    tasks = service.start_asking("a", "b", n=1000)
    with service.slowly():
        await service.until_begun(*tasks)
        os.killpg(service.pid("nginx"), signal.SIGKILL)  # its workers too
        outcomes = await asyncio.gather(*tasks)
        assert all(one.end == "RemoteProtocolError" for one in outcomes)
        await until(lambda: service.n_live() == 0)  # sooner than they would end
    ready(service)
    assert (await answered(service.url, "after", 5)).is_right


async def test_idle_connections_delay_no_client(service) -> None:
    """F24: as many as one address may have, and saying nothing."""
    port = int(service.url.rpartition(":")[2])
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(500)]
    try:
        assert (await answered(service.url, "through", 5)).is_right
    finally:
        for one in idle:
            one.close()


@pytest.mark.slow
async def test_stolen_cores_fail_no_question(service) -> None:
    """F31: other processes compute on every core; no worker is presumed dead."""
    steal = "from time import time\nends = time() + 60\nwhile time() < ends: pass"
    pids = service.pid("worker0"), service.pid("web0")
    n_thieves = 4 * host.usable_cores()
    thieves = [
        subprocess.Popen([sys.executable, "-c", steal]) for _ in range(n_thieves)
    ]
    try:
        many = [ask(service.url, f"s{n}", 100, key=f"s{n}") for n in range(12)]
        outcomes = await asyncio.gather(*many)
    finally:
        for thief in thieves:
            thief.kill()
            thief.wait(60)
    assert (service.pid("worker0"), service.pid("web0")) == pids
    assert all(one.is_right for one in outcomes), outcomes


async def test_a_slow_reader_delays_no_other(service) -> None:
    """P13."""
    port = int(service.url.rpartition(":")[2])
    data = json.dumps(body("slow", 300)).encode()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    )
    head += f"Authorization: Bearer slow\r\nContent-Length: {len(data)}\r\n\r\n"
    alone = await answered(service.url, "alone", 100)
    here = (address_of("slow"), 0)
    with socket.create_connection(("127.0.0.1", port), source_address=here) as slow:
        slow.sendall(head.encode() + data)
        await service.until_running(1)
        beside = await answered(service.url, "beside", 100, key="b")
        assert beside.is_right and beside.seconds < 2 * alone.seconds + 20
        assert slow.recv(10)
