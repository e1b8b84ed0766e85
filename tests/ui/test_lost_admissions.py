"""Admissions whose reply was lost are withdrawn, each of them, in a long outage too."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest
import redis

from edge.jobs.client_side import ClientJobs
from edge.jobs.submission import ChargedTokens, Submission
from tests.jobs.jobs_harness import caller
from ui.lost_admissions import LostAdmissions

FREE = Submission(caller("me"))
CHARGED = Submission(caller("me"), charged=ChargedTokens(10, at=1.0))


class Broker:
    """Answers when it is told to, and raises the `errors` first."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.answers = asyncio.Event()
        self.is_asked = asyncio.Event()
        self.withdrawn: list[str] = []

    async def withdraw(self, job_ids: Sequence[str], _submission: Submission) -> None:
        self.is_asked.set()
        await self.answers.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.withdrawn += job_ids

    async def until(self, *job_ids: str) -> None:
        async with asyncio.timeout(60):
            while self.withdrawn != list(job_ids):
                await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.lost_admissions.MOST", 2)
    monkeypatch.setattr("ui.lost_admissions.AGAIN_S", 0)


async def test_what_was_charged_for_is_withdrawn_however_many_are_lost() -> None:
    """Also while the first of them is being withdrawn."""
    broker = Broker()
    lost = LostAdmissions(cast(ClientJobs, broker))
    lost.add(["a"], FREE)
    await broker.is_asked.wait()
    lost.add(["b"], CHARGED)
    lost.add(["c"], FREE)  # ends by itself when nobody has watched it
    lost.add(["d"], CHARGED)
    broker.answers.set()
    await broker.until("a", "b", "d")


async def test_an_outage_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    broker = Broker()
    broker.answers.set()
    broker.errors = [redis.ConnectionError("away")] * 3
    lost = LostAdmissions(cast(ClientJobs, broker))
    for job_id in ("a", "b"):
        lost.add([job_id], CHARGED)
    await broker.until("a", "b")
    assert len(caplog.records) == 1


async def test_one_that_the_broker_refuses_does_not_delay_the_others() -> None:
    broker = Broker()
    broker.answers.set()
    broker.errors = [redis.ResponseError("no")]
    lost = LostAdmissions(cast(ClientJobs, broker))
    for job_id in ("a", "b"):
        lost.add([job_id], CHARGED)
    await broker.until("b")
