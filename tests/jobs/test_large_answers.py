"""Large answers leave the broker sooner: it never forgets by itself."""

from __future__ import annotations

import time

import pytest

from edge.events import Finished
from edge.jobs import keys
from edge.jobs.record import KEEP_BYTES, KEEP_S, LEAST_KEEP_S
from edge.request import Answer
from tests.jobs.jobs_harness import JobsHarness

pytestmark = pytest.mark.redis


@pytest.mark.parametrize(
    "n_bytes, kept_s",
    [
        (KEEP_BYTES // 2, KEEP_S),
        (3 * KEEP_BYTES, KEEP_S / 3),
        (1 << 20, LEAST_KEEP_S),
    ],
)
async def test_a_larger_answer_stays_for_less(
    harness: JobsHarness, n_bytes: int, kept_s: float
) -> None:
    job_id = await harness.ask()
    answer = Answer("x" * n_bytes, "stop")
    began = time.monotonic()
    harness.worker.end(harness.claim(), Finished(answer))
    for key in (keys.JOB(job_id), keys.EVENTS(job_id, 1)):
        ttl = harness.sync.ttl(key)
        assert 0.9 * kept_s - (time.monotonic() - began) - 2 < ttl <= kept_s
    seen = await harness.events(job_id)
    assert seen[-1] == Finished(answer)


async def test_a_question_whose_answer_has_gone_is_asked_again(
    harness: JobsHarness,
) -> None:
    sent = {"idempotency_key": "key", "body_hash": "a"}
    first = await harness.ask(**sent)
    harness.worker.end(harness.claim(), Finished(Answer("x" * 100_000, "stop")))
    assert (await harness.admit("me", **sent)).job_id == first
    harness.sync.delete(keys.JOB(first))  # as when it expires
    again = await harness.admit("me", **sent)
    assert again.is_new and again.job_id != first
