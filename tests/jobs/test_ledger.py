"""Usage is bounded in advance, counted once, and summed by day."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from edge.caller import Caller
from edge.events import Failed, Finished, Started, Token
from edge.jobs import keys
from edge.jobs.ledger import Ledger, Usage, refusal
from edge.jobs.submission import ChargedTokens, Submission
from edge.limits import Limits
from edge.request import Answer
from edge.request import Usage as Tokens
from tests.jobs.jobs_harness import (
    BOUNDS,
    FINISHED,
    POOL,
    JobsHarness,
    new_ids,
    question,
    young_minute,
)

pytestmark = pytest.mark.redis

ALICE = Caller("alice", "alice", "here", "alice")
LIMITS = Limits.read("answer-tokens/day=100")


@pytest.fixture
def ledger(harness: JobsHarness) -> Ledger:
    return Ledger(harness.asynchronous)


async def ask(
    harness: JobsHarness, ledger: Ledger, n: int, *, shares: bool = False
) -> str:
    """A job of alice's whose answer may have `n` tokens, which were charged."""
    charge = await ledger.charge("alice", LIMITS.quotas, "answer-tokens", n)
    assert charge and charge.is_granted
    submission = Submission(
        ALICE, LIMITS, max_tokens=n, charged=ChargedTokens(n, charge.at)
    )
    job = await harness.client.admit(new_ids(), submission, POOL, "tiny", BOUNDS)
    await harness.enqueue(job.job_id, max_tokens=n, shares=shares)
    return job.job_id


async def left(ledger: Ledger) -> int:
    charge = await ledger.charge("alice", LIMITS.quotas, "answer-tokens", 0)
    assert charge
    return charge.left


def answered(n: int) -> Finished:
    return Finished(Answer("a dog", "stop", Tokens(70, n)))


async def today(ledger: Ledger) -> Usage:
    [row] = await ledger.usage(1)
    return row


async def test_no_more_than_the_limit_is_granted_however_many_ask(
    ledger: Ledger,
) -> None:
    quotas = Limits.read("requests/minute=10, requests/day=15").quotas
    await young_minute()
    charges = (ledger.charge("alice", quotas, "requests", 1) for _ in range(40))
    granted = [charge for charge in await asyncio.gather(*charges) if charge]
    assert sum(charge.is_granted for charge in granted) == 10
    last = await ledger.charge("alice", quotas, "requests", 1)
    assert last and not last.is_granted
    assert (last.limit, last.left) == (10, 0)
    assert 1 <= last.resets_s <= 60
    assert "10 requests" in refusal(last, 1).message
    assert refusal(last, 1).retry_after_s == last.resets_s


async def test_unlimited_use_is_not_counted(
    harness: JobsHarness, ledger: Ledger
) -> None:
    assert await ledger.charge("alice", (), "requests", 1) is None
    quotas = Limits.read("image-tokens/day=5").quotas
    assert await ledger.charge("alice", quotas, "requests", 1) is None
    assert harness.sync.keys(keys.QUOTA("*", "*", "*", "*")) == []


async def test_tenants_have_separate_quotas(ledger: Ledger) -> None:
    quotas = Limits.read("requests/day=1").quotas
    for tenant in ("alice", "bob"):
        charge = await ledger.charge(tenant, quotas, "requests", 1)
        assert charge and charge.is_granted


async def test_a_charge_above_the_whole_limit_says_so(ledger: Ledger) -> None:
    charge = await ledger.charge("alice", LIMITS.quotas, "answer-tokens", 5000)
    assert charge and not charge.is_granted
    error = refusal(charge, 5000)
    assert "up to 5,000 answer tokens" in error.message
    assert error.retry_after_s is None  # waiting does not help


async def test_an_answer_gives_back_unused_tokens(
    harness: JobsHarness, ledger: Ledger
) -> None:
    await ask(harness, ledger, 80)
    assert await left(ledger) == 20
    harness.worker.end(harness.claim(), answered(30))
    assert await left(ledger) == 70
    row = await today(ledger)
    assert (row.requests, row.answer_tokens, row.prompt_tokens) == (1, 30, 70)


async def test_tokens_from_caches_are_counted_by_their_cache(
    harness: JobsHarness, ledger: Ledger
) -> None:
    await ask(harness, ledger, 80)
    usage = Tokens(
        prompt_tokens=70,
        completion_tokens=8,
        cached_tokens=40,
        image_tokens=60,
        memory_image_tokens=20,
        stored_image_tokens=30,
    )
    harness.worker.end(harness.claim(), Finished(Answer("x", "stop", usage)))
    row = await today(ledger)
    assert (row.cached_tokens, row.image_tokens) == (40, 60)
    assert (row.memory_image_tokens, row.stored_image_tokens) == (20, 30)


@pytest.mark.parametrize("ending", ["refused", "cancelled", "failed"])
async def test_a_job_without_an_answer_gives_back_all(
    harness: JobsHarness, ledger: Ledger, ending: str
) -> None:
    job_id = await ask(harness, ledger, 80)
    if ending == "cancelled":
        await harness.client.cancel(job_id)
    elif ending == "refused":
        harness.worker.end_waiting(
            job_id, Failed("context_length_exceeded", "Too long.")
        )
    else:
        harness.worker.end(harness.claim(), Failed("engine_error", "No."))
    assert await left(ledger) == 100
    row = await today(ledger)
    assert (row.requests, row.failed, row.answer_tokens) == (1, 1, 0)


async def test_what_is_refused_on_its_way_into_the_queue_does_not_count(
    harness: JobsHarness, ledger: Ledger
) -> None:
    """As what admission refuses. Whose answer becomes known then has one."""
    first, second = [
        await harness.client.admit(
            new_ids(), Submission(ALICE, LIMITS), POOL, "tiny", BOUNDS
        )
        for _ in range(2)
    ]
    await harness.client.cancel(first.job_id)
    assert await ledger.usage(1) == []
    await harness.client.end(second.job_id, answered(30))
    row = await today(ledger)
    assert (row.requests, row.failed, row.cached) == (1, 0, 1)


async def test_a_look_at_the_pictures_costs_no_answer_tokens(
    harness: JobsHarness, ledger: Ledger
) -> None:
    """Its events are not tokens."""
    job_id = await ask(harness, ledger, 80)
    claim = harness.claim()
    harness.publisher.publish(job_id, claim.attempt, 1, [Started(475)] * 50)
    await harness.client.cancel(job_id)
    assert await left(ledger) == 100
    assert (await today(ledger)).answer_tokens == 0


async def test_no_answer_costs_more_than_it_may_have(
    harness: JobsHarness, ledger: Ledger
) -> None:
    job_id = await ask(harness, ledger, 10)
    claim = harness.claim()
    events = [*[Started(475)] * 50, Token("a")]
    harness.publisher.publish(job_id, claim.attempt, 1, events)
    await harness.client.cancel(job_id)
    assert (await today(ledger)).answer_tokens == 10


async def test_a_shared_answer_costs_no_tokens(
    harness: JobsHarness, ledger: Ledger
) -> None:
    await ask(harness, ledger, 40, shares=True)
    await ask(harness, ledger, 40, shares=True)
    harness.worker.end(harness.claim(), answered(30))
    assert await left(ledger) == 70
    row = await today(ledger)
    assert (row.requests, row.cached, row.answer_tokens) == (2, 1, 30)


async def test_a_cached_answer_counts_as_a_cached_request(ledger: Ledger) -> None:
    await ledger.known("alice", "a model of two words")
    row = await today(ledger)
    assert (row.tenant, row.model) == ("alice", "a model of two words")
    assert (row.requests, row.cached, row.answer_tokens) == (1, 1, 0)


async def test_usage_is_listed_newest_first_and_by_tenant(
    harness: JobsHarness, ledger: Ledger
) -> None:
    day = int(time.time() // 86_400)
    for ago, tenant in ((0, "alice"), (2, "bob"), (9, "alice")):
        harness.sync.hset(keys.USAGE(day - ago), f"{tenant} requests tiny", ago + 1)
    assert [row.requests for row in await ledger.usage(31)] == [1, 3, 10]
    assert [row.requests for row in await ledger.usage(3, "bob")] == [3]
    [row] = await ledger.usage(1, "alice")
    assert row.day == time.strftime("%Y-%m-%d", time.gmtime())


async def test_a_repeated_end_is_counted_once(
    harness: JobsHarness, ledger: Ledger
) -> None:
    await ask(harness, ledger, 50)
    claim = harness.claim()
    assert harness.worker.end(claim, FINISHED)
    assert not harness.worker.end(claim, FINISHED)
    assert (await today(ledger)).requests == 1
    assert await left(ledger) == 100


async def image_tokens_left(ledger: Ledger) -> int:
    quotas = Limits.read("image-tokens/day=100").quotas
    charge = await ledger.charge("alice", quotas, "image-tokens", 0)
    assert charge
    return charge.left


@pytest.mark.parametrize("end", ["waits", "runs", "retried", "answered", "shared"])
async def test_image_tokens_come_back_if_the_job_was_never_begun(
    harness: JobsHarness, ledger: Ledger, end: str
) -> None:
    quotas = Limits.read("image-tokens/day=100").quotas
    asked = Submission(ALICE, LIMITS)
    job_id = (await harness.client.admit(new_ids(), asked, POOL, "tiny", BOUNDS)).job_id
    for _ in range(2):  # two web processes prepare it: it is charged once
        await ledger.charge("alice", quotas, "image-tokens", 30, job_id)
        assert await image_tokens_left(ledger) == 70
    await harness.enqueue(job_id, shares=True)
    if end == "answered":
        harness.worker.end(harness.claim(), answered(3))
    elif end == "shared":
        harness.sync.zadd(keys.WAITING(POOL), {job_id: 1e12})
        same = await harness.admit("bob")
        await harness.enqueue(same.job_id, shares=True)
        harness.worker.end(harness.claim(), answered(3))
    else:
        if end != "waits":
            claim = harness.claim()
        if end == "retried":
            harness.worker.release(claim, Failed("shutting_down", "Ask again."))
        await harness.client.cancel(job_id)
    assert await harness.state(job_id) not in ("waiting", "running")
    is_free = end in ("waits", "shared")
    assert await image_tokens_left(ledger) == (100 if is_free else 70)
    await ledger.charge("alice", quotas, "image-tokens", 30, job_id)  # it is over
    assert await image_tokens_left(ledger) == (100 if is_free else 70)


@pytest.mark.parametrize("by", ["preflight", "thread"])
async def test_counting_tokens_is_a_request_and_no_more(
    harness: JobsHarness, ledger: Ledger, by: str
) -> None:
    asked = Submission(ALICE, LIMITS)
    job = await harness.client.admit(new_ids(), asked, POOL, "tiny", BOUNDS)
    count = replace(question(), wants="count")
    await harness.client.enqueue(job.job_id, count, "count", [], POOL, BOUNDS)
    if by == "preflight":
        harness.worker.end_waiting(job.job_id, answered(0))
    else:
        harness.worker.end(harness.claim(), answered(0))
    row = await today(ledger)
    assert row == Usage(row.day, "alice", "tiny", requests=1)
