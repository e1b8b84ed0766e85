"""An admission whose reply was lost is withdrawn, whether it has run or runs later."""

from __future__ import annotations

import pytest

from edge.caller import Caller
from edge.jobs import scripts
from edge.jobs.ledger import Ledger
from edge.jobs.submission import Admitted, ChargedTokens, Submission
from edge.limits import Limits
from tests.jobs.jobs_harness import BOUNDS, POOL, JobsHarness, new_ids, young_minute

pytestmark = pytest.mark.redis

ALICE = Caller("alice", "alice", "here", "alice")
LIMITS = Limits.read("answer-tokens/minute=100, answer-tokens/day=100")


@pytest.fixture
def ledger(harness: JobsHarness) -> Ledger:
    return Ledger(harness.asynchronous)


async def charged(ledger: Ledger, n_answers: int = 1, key: str = "") -> Submission:
    await young_minute()
    charge = await ledger.charge(
        "alice", LIMITS.quotas, "answer-tokens", 10 * n_answers
    )
    assert charge and charge.is_granted
    return Submission(
        ALICE,
        LIMITS,
        n_answers=n_answers,
        n_computed=n_answers,
        idempotency_key=key,
        body_hash="a",
        charged=ChargedTokens(10, charge.at),
    )


async def left(ledger: Ledger) -> int:
    charge = await ledger.charge("alice", LIMITS.quotas, "answer-tokens", 0)
    assert charge
    return charge.left


async def admit(harness: JobsHarness, ids: list[str], what: Submission) -> Admitted:
    return await harness.client.admit(ids, what, POOL, "tiny", BOUNDS)


@pytest.mark.parametrize("order", ["admitted first", "withdrawn first", "never run"])
async def test_it_leaves_no_job_and_one_refund(
    harness: JobsHarness, ledger: Ledger, order: str
) -> None:
    asked, ids = await charged(ledger, n_answers=2), new_ids(2)
    assert await left(ledger) == 80
    if order == "admitted first":
        await admit(harness, ids, asked)
    for _ in range(2):  # the first reply to this may be lost too
        await harness.client.withdraw(ids, asked)
    if order == "withdrawn first":
        await admit(harness, ids, asked)
    assert harness.n_live() == 0
    assert await left(ledger) == 100


async def test_it_is_refunded_once_when_its_record_is_gone(
    harness: JobsHarness, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its job has ended, and was refunded then."""
    for name in ("KEEP_S", "LEAST_KEEP_S"):
        monkeypatch.setitem(scripts._NUMBERS, name, 0)
    scripts._source.cache_clear()
    asked, ids = await charged(ledger), new_ids()
    await admit(harness, ids, asked)
    await harness.client.cancel(ids[0])
    assert await harness.state(ids[0]) is None
    await harness.client.withdraw(ids, asked)
    assert await left(ledger) == 100


async def test_a_job_that_another_request_has_joined_goes_on(
    harness: JobsHarness, ledger: Ledger
) -> None:
    asked, ids = await charged(ledger, key="mine"), new_ids()
    await admit(harness, ids, asked)
    joined = await admit(harness, new_ids(), await charged(ledger, key="mine"))
    assert (joined.job_id, joined.is_new) == (ids[0], False)
    await harness.client.withdraw(ids, asked)
    await harness.enqueue(joined.job_id)
    assert harness.claim().job_id == joined.job_id


async def test_who_would_have_joined_a_job_does_not_end_it(
    harness: JobsHarness, ledger: Ledger
) -> None:
    """Its own reply was lost: there is no job of its own, and its charge comes back."""
    first = await admit(harness, new_ids(), await charged(ledger, key="mine"))
    again, ids = await charged(ledger, key="mine"), new_ids()
    await admit(harness, ids, again)
    await harness.client.withdraw(ids, again)
    assert await harness.state(first.job_id) == "waiting"
    assert await left(ledger) == 90


async def test_an_admission_that_is_sent_twice_is_made_once(
    harness: JobsHarness, ledger: Ledger
) -> None:
    """As the client of Redis does when a connection breaks; it is not joined then."""
    asked, ids = await charged(ledger, key="mine"), new_ids()
    first, again = [await admit(harness, ids, asked) for _ in range(2)]
    assert first == again
    assert again.is_new
    assert harness.n_live() == 1
