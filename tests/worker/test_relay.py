"""From job to engine and back, over the stub engine and a real Redis."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator
from contextlib import closing

import pytest

from edge.engine.engine import Engine
from edge.events import Event, Failed, Finished, Started, Token
from edge.images import Picture
from edge.jobs import record
from edge.jobs.channel import RedisFollower, RedisPublisher
from edge.jobs.client_side import ClientJobs
from edge.jobs.worker_side import WorkerJobs
from edge.redis_clients import async_client, sync_client
from edge.request import Message, Request, SamplingParams
from edge.runtime.stub import LONG_ANSWER, StubRuntime
from edge.vision.stub import StubTower
from worker.metrics import Metrics
from worker.relay import Relay

pytestmark = pytest.mark.redis

PICTURE = Picture(64, 64, bytes(64 * 64 * 3))


class Bench:
    """A relay over a stub engine, and the client's side of the same jobs."""

    def __init__(self, url: str, runtime: StubRuntime) -> None:
        self.runtime = runtime
        self.sync, self.asynchronous = sync_client(url), async_client(url)
        self.client = ClientJobs(self.asynchronous, RedisFollower(self.asynchronous))
        self.engine = Engine(runtime, StubTower())
        channel = RedisPublisher(self.sync)
        self.metrics = Metrics()
        jobs = WorkerJobs(self.sync, channel)
        self.relay = Relay(self.engine, jobs, channel, self.metrics)

    async def admit(self, text: str = "hello", deadline_s: int = 60, **sampling) -> str:
        message = Message("user", (PICTURE.ref, text))
        request = Request((message,), SamplingParams(**sampling))
        job_id = await self.client.admit(request, limit=100, deadline_s=deadline_s)
        await self.client.keep(job_id, [PICTURE], deadline_s)
        return job_id

    async def events(self, job_id: str) -> list[Event]:
        return [event async for event in self.client.follow(job_id) if event]


@pytest.fixture
async def bench(broker_url: str) -> AsyncIterator[Bench]:
    runtime = StubRuntime(answer=LONG_ANSWER, n_cells=40_000, step_s=0.002)
    one = Bench(broker_url, runtime)
    with closing(one.engine):
        yield one
    one.sync.close()
    await one.asynchronous.aclose()


async def test_an_answer_streams_to_its_follower(bench: Bench) -> None:
    job_id = await bench.admit(max_tokens=10)
    bench.relay.answer(job_id)
    events = await bench.events(job_id)
    assert isinstance(events[0], Started)
    assert "".join(e.text for e in events if isinstance(e, Token)) == "0 1 2 3 4 "
    assert isinstance(events[-1], Finished)


async def test_a_delivery_that_comes_twice_is_run_once(bench: Bench) -> None:
    job_id = await bench.admit(max_tokens=3)
    bench.relay.answer(job_id)
    bench.relay.answer(job_id)
    assert len(await bench.events(job_id)) == 6  # started, embedded, 3 tokens, finished


@pytest.mark.parametrize("how", ["client", "deadline"])
async def test_a_running_answer_stops_computing(bench: Bench, how: str) -> None:
    deadline_s = 1 if how == "deadline" else 60
    job_id = await bench.admit(deadline_s=deadline_s, max_tokens=20_000)
    thread = threading.Thread(target=bench.relay.answer, args=(job_id,))
    thread.start()
    while not bench.runtime.cells:
        time.sleep(0.01)
    if how == "client":
        await bench.client.cancel(job_id)
    thread.join(4)
    assert not thread.is_alive()
    assert bench.runtime.cells == {}
    job = await bench.client.look(job_id)
    assert job and job.state == ("cancelled" if how == "client" else "expired")


async def test_a_job_that_waited_too_long_is_not_run(bench: Bench) -> None:
    job_id = await bench.admit()
    bench.sync.hset(record.job_key(job_id), "expires", 1)
    bench.relay.answer(job_id)
    events = await bench.events(job_id)
    assert [event.code for event in events] == ["deadline_exceeded"]


async def test_a_prompt_that_cannot_fit_fails_with_the_numbers(bench: Bench) -> None:
    job_id = await bench.admit(max_tokens=1_000_000)
    bench.relay.answer(job_id)
    [failed] = await bench.events(job_id)
    assert failed.code == "context_length_exceeded"
    assert "40000" in failed.message


async def test_a_bug_is_one_plain_sentence(bench: Bench, monkeypatch) -> None:
    def broken(claim: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(bench.relay._jobs, "pictures", broken)
    job_id = await bench.admit()
    bench.relay.answer(job_id)
    assert await bench.events(job_id) == [
        Failed("engine_error", "Computing this answer failed.")
    ]


async def test_a_job_that_is_not_ours_any_more_is_given_up(bench: Bench) -> None:
    job_id = await bench.admit(max_tokens=20_000)
    thread = threading.Thread(target=bench.relay.answer, args=(job_id,))
    thread.start()
    while not bench.runtime.cells:
        time.sleep(0.01)
    bench.sync.hset(record.job_key(job_id), "attempt", 2)  # somebody else retried it
    thread.join(4)
    assert not thread.is_alive()
    job = await bench.client.look(job_id)
    assert job and job.state == "running"
