"""What can never be answered is refused at once, though no slot is free."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
import redis

from edge.events import Accepted, Event
from edge.jobs import keys
from edge.request import Message, Request, SamplingParams
from tests.jobs.jobs_harness import BOUNDS, POOL
from tests.worker.worker_harness import WorkerHarness
from worker import preflight
from worker.metrics import Metrics
from worker.preflight import Preflight

pytestmark = pytest.mark.redis


@pytest.fixture
async def checked(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[WorkerHarness]:
    """A harness with a checker, and nobody who would run a job."""
    monkeypatch.setattr(preflight, "LOOK_S", 0.1)
    one = Preflight(harness.engine, harness.worker, Metrics())
    yield harness
    one.close()


async def ask(harness: WorkerHarness, text: str, n: int = 10, **sampling) -> str:
    request = Request((Message("user", (text,)),), SamplingParams(n, **sampling))
    job = await harness.admit()
    await harness.client.enqueue(job.job_id, request, text, [], POOL, BOUNDS)
    return job.job_id


async def first(harness: WorkerHarness, job_id: str) -> Event | None:
    async with asyncio.timeout(5):
        async with aclosing(harness.client.follow(job_id)) as events:
            return await anext(events)


async def test_what_fits_is_accepted_with_its_size(checked: WorkerHarness) -> None:
    job_id = await ask(checked, "hello", n=30)
    accepted = await first(checked, job_id)
    assert isinstance(accepted, Accepted)
    assert accepted.prompt_tokens > len("hello")
    assert await checked.state(job_id) == "waiting"
    size = checked.sync.hmget(
        keys.JOB(job_id), "prompt_tokens", "image_tokens", "max_tokens"
    )
    assert [int(n) for n in size] == [accepted.prompt_tokens, 0, 30]


async def test_pictures_are_counted_without_their_pixels(
    checked: WorkerHarness,
) -> None:
    job = await checked.admit()
    await checked.enqueue(job.job_id, pictures=[])
    assert isinstance(await first(checked, job.job_id), Accepted)
    [n_image] = checked.sync.hmget(keys.JOB(job.job_id), "image_tokens")
    assert int(n_image) > 0


async def test_what_can_never_fit_is_refused_while_it_waits(
    checked: WorkerHarness,
) -> None:
    job_id = await ask(checked, "hello", n=1_000_000)
    assert await checked.failure(job_id) == "context_length_exceeded"
    assert checked.worker.claim() is None


async def test_what_cannot_be_sampled_is_refused_while_it_waits(
    checked: WorkerHarness,
) -> None:
    job_id = await ask(checked, "hello", logit_bias=((100_000, 1.0),))
    assert await checked.failure(job_id) == "invalid_request"


async def test_a_question_that_breaks_the_check_is_left_for_its_turn(
    checked: WorkerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_check = checked.engine.check

    def check(request: Request, *more):
        if "broken" in str(request):
            raise ZeroDivisionError
        return really_check(request, *more)

    monkeypatch.setattr(checked.engine, "check", check)
    broken, good = await ask(checked, "broken"), await ask(checked, "good")
    assert isinstance(await first(checked, good), Accepted)
    assert await checked.state(broken) == "waiting"


@pytest.mark.parametrize("how", ["cancelled", "claimed"])
async def test_a_check_ends_with_the_waiting(
    checked: WorkerHarness, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Of a question that takes long, when its client leaves or a worker takes it."""
    begun, really_tokenize = threading.Event(), checked.runtime.tokenize
    n_messages = 0

    def tokenize(text: str, *, special: bool) -> list[int]:
        nonlocal n_messages
        if "slow" in text:
            n_messages += 1
            begun.set()
            time.sleep(0.05)
        return really_tokenize(text, special=special)

    monkeypatch.setattr(checked.runtime, "tokenize", tokenize)
    slow = tuple(Message("user", (f"slow {n}",)) for n in range(200))
    job = await checked.admit()
    request = Request(slow, SamplingParams(10), truncate=True)
    await checked.client.enqueue(job.job_id, request, "slow", [], POOL, BOUNDS)
    assert await asyncio.to_thread(begun.wait, 5)
    if how == "claimed":
        assert checked.claim().job_id == job.job_id
    else:
        await checked.client.cancel(job.job_id)
    good = await ask(checked, "good")
    assert isinstance(await first(checked, good), Accepted)
    assert n_messages < 100
    state = "running" if how == "claimed" else "cancelled"
    assert await checked.state(job.job_id) == state


async def test_checks_go_on_when_the_broker_is_back(
    checked: WorkerHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_look, n_failed = checked.worker.unchecked, 0

    def unchecked(timeout_s: float):
        nonlocal n_failed
        if n_failed < 2:
            n_failed += 1
            raise redis.ConnectionError("away")
        return really_look(timeout_s)

    monkeypatch.setattr(checked.worker, "unchecked", unchecked)
    job_id = await ask(checked, "hello")
    assert isinstance(await first(checked, job_id), Accepted)
