"""Sessions that ended early, of one key, within a bound."""

from __future__ import annotations

import time

import pytest

from edge.jobs import keys, logins
from edge.jobs.logins import Logins
from tests.jobs.jobs_harness import JobsHarness

pytestmark = pytest.mark.redis
SOON, LATER = int(time.time()) + 86_400, int(time.time()) + 30 * 86_400


@pytest.fixture
def one(harness: JobsHarness) -> Logins:
    return Logins(harness.asynchronous)


async def test_a_session_has_ended_until_its_cookie_expires(
    one: Logins, harness: JobsHarness
) -> None:
    await one.end("key", "long", LATER)
    await one.end("key", "short", SOON)
    assert await one.has_ended("key", "long", LATER)
    assert await one.has_ended("key", "short", SOON)
    assert not await one.has_ended("key", "other", SOON)
    assert not await one.has_ended("another key", "long", LATER)
    assert harness.sync.expiretime(keys.LOGGED_OUT("key")) == LATER
    await one.end("key", "over", int(time.time()) - 1)
    assert harness.sync.zcard(keys.LOGGED_OUT("key")) == 2


async def test_who_logs_in_and_out_without_end_fills_nothing(
    one: Logins, harness: JobsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "MOST_ENDED", 10)
    for n in range(30):
        await one.end("key", f"session {n}", SOON + n)
    assert harness.sync.zcard(keys.LOGGED_OUT("key")) == 10
    for n in range(30):  # those that were forgotten too: they are older
        assert await one.has_ended("key", f"session {n}", SOON + n)
    assert not await one.has_ended("key", "the latest", SOON + 30)
