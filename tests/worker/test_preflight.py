"""Impossible questions are refused at once, even if no slot is free."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing

import pytest
import redis

from edge.engine.prepare import Prepared
from edge.events import Accepted, Event, Finished, Queued
from edge.jobs import keys
from edge.request import Message, Request, SamplingParams
from tests.jobs.jobs_harness import BOUNDS, POOL
from tests.worker.worker_harness import WorkerHarness
from worker import preflight
from worker.prepared import (
    MOST_JOBS,
    MOST_SCHEMA_CHARACTERS,
    MOST_TOKENS,
    PreparedJobs,
)

pytestmark = pytest.mark.redis


@pytest.fixture
def checked(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch
) -> Iterator[WorkerHarness]:
    """A worker that checks questions and answers none."""
    monkeypatch.setattr(preflight, "LOOK_S", 0.1)
    monkeypatch.setattr(preflight, "DROP_S", 0.2)
    with harness.checking():
        yield harness


async def ask(harness: WorkerHarness, text: str, n: int = 10, **sampling) -> str:
    request = Request((Message("user", (text,)),), SamplingParams(n, **sampling))
    job = await harness.admit()
    await harness.client.enqueue(job.job_id, request, text, [], POOL, BOUNDS)
    return job.job_id


async def first(harness: WorkerHarness, job_id: str) -> Event | None:
    """The first event, without what quiet seconds give."""
    async with asyncio.timeout(60):
        async with aclosing(harness.client.follow(job_id)) as events:
            async for event in events:
                if not isinstance(event, Queued | None):
                    return event
    return None


async def test_a_fitting_question_is_accepted_with_its_size(
    checked: WorkerHarness,
) -> None:
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


async def test_an_oversized_question_is_refused_while_it_waits(
    checked: WorkerHarness,
) -> None:
    job_id = await ask(checked, "x" * 50_000)
    assert await checked.failure(job_id) == "context_length_exceeded"
    assert checked.worker.claim() is None


async def test_impossible_sampling_is_refused_while_it_waits(
    checked: WorkerHarness,
) -> None:
    job_id = await ask(checked, "hello", logit_bias=((100_000, 1.0),))
    assert await checked.failure(job_id) == "invalid_request"


async def test_a_question_that_breaks_the_check_stays_in_the_queue(
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
    slow = tuple(Message("user", (f"slow {n}",)) for n in range(2000))
    job = await checked.admit()
    request = Request(slow, SamplingParams(10), truncate=True)
    await checked.client.enqueue(job.job_id, request, "slow", [], POOL, BOUNDS)
    assert await asyncio.to_thread(begun.wait, 60)
    if how == "claimed":
        assert checked.claim().job_id == job.job_id
    else:
        await checked.client.cancel(job.job_id)
    good = await ask(checked, "good")
    assert isinstance(await first(checked, good), Accepted)
    assert n_messages < 1000
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


# --- what was prepared is kept for the claim --------------------------------------


@pytest.fixture
def tokenized(
    harness: WorkerHarness, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[str]]:
    """The texts that were tokenised, with their repetitions."""
    texts: list[str] = []
    really_tokenize = harness.runtime.tokenize

    def tokenize(text: str, *, special: bool) -> list[int]:
        texts.append(text)
        return really_tokenize(text, special=special)

    monkeypatch.setattr(harness.runtime, "tokenize", tokenize)
    yield texts


def times(texts: list[str], word: str) -> int:
    return sum(word in text for text in texts)


async def test_a_question_that_was_checked_is_tokenised_once(
    checked: WorkerHarness, tokenized: list[str]
) -> None:
    job_id = await ask(checked, "needle")
    assert isinstance(await first(checked, job_id), Accepted)
    assert times(tokenized, "needle") == 1
    checked.relay.answer()
    assert isinstance((await checked.events(job_id))[-1], Finished)
    assert times(tokenized, "needle") == 1
    assert checked.prepared.job_ids() == []


async def test_a_question_that_was_not_checked_is_prepared_at_its_claim(
    harness: WorkerHarness, tokenized: list[str]
) -> None:
    job_id = await ask(harness, "needle")
    harness.relay.answer()
    assert isinstance((await harness.events(job_id))[-1], Finished)
    assert times(tokenized, "needle") == 1


@pytest.mark.parametrize("how", ["cancelled", "claimed by another worker"])
async def test_what_was_prepared_is_dropped_when_the_job_leaves_the_queue(
    checked: WorkerHarness, how: str
) -> None:
    job_id, other = await ask(checked, "one"), await ask(checked, "two")
    for one in (job_id, other):
        assert isinstance(await first(checked, one), Accepted)
    assert checked.prepared.job_ids() == [job_id, other]
    if how == "cancelled":
        await checked.client.cancel(job_id)
    else:
        assert checked.claim().job_id == job_id
    checked.wait(lambda: checked.prepared.job_ids() == [other])


@pytest.mark.parametrize("n_tokens", [1, MOST_TOKENS // 3])
def test_the_memory_of_prepared_questions_is_bounded(n_tokens: int) -> None:
    """The jobs that wait longest are claimed first: theirs are kept."""
    prepared = PreparedJobs()
    one = Prepared(Request(()), n_tokens, n_tokens, 0, 0.0, [])
    for n in range(2 * MOST_JOBS):
        prepared.put(f"job {n}", one)
    n_kept = min(MOST_JOBS, MOST_TOKENS // n_tokens)
    assert prepared.job_ids() == [f"job {n}" for n in range(n_kept)]
    assert prepared.take("job 0") is one
    assert prepared.take("job 0") is None
    prepared.put("new", one)
    assert prepared.take("new") is one


def test_compiled_schemas_are_bounded_too() -> None:
    prepared = PreparedJobs()
    schema = " " * (MOST_SCHEMA_CHARACTERS // 3)
    held = Request((), SamplingParams(grammar=schema))
    for n in range(5):
        prepared.put(f"held {n}", Prepared(held, 1, 1, 0, 0.0, []))
    prepared.put("free", Prepared(Request(()), 1, 1, 0, 0.0, []))
    assert prepared.job_ids() == ["held 0", "held 1", "held 2", "free"]
