"""The contract of every channel: the stub and the real one over Redis."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from edge.events import Accepted, Event, Failed, Finished, Retried, Started, Token
from edge.jobs import keys
from edge.jobs.channel import Follower, Publisher, RedisFollower, RedisPublisher
from edge.jobs.stub import StubChannel
from edge.redis_clients import async_client, sync_client
from edge.request import Answer
from tests.jobs.jobs_harness import JobsHarness

FINISHED = Finished(Answer("一 two", "stop"))
CLOSING = [FINISHED, Failed("cancelled", "enough"), Retried()]
Ends = tuple[Publisher, Follower]

closing = pytest.mark.parametrize("last", CLOSING, ids=lambda e: type(e).__name__)


@asynccontextmanager
async def redis_channel(url: str) -> AsyncIterator[Ends]:
    writer, reader = sync_client(url), async_client(url)
    yield RedisPublisher(writer), RedisFollower(reader)
    writer.close()
    await reader.aclose()


@pytest.fixture(params=["stub", pytest.param("redis", marks=pytest.mark.redis)])
async def ends(request: pytest.FixtureRequest) -> AsyncIterator[Ends]:
    if request.param == "stub":
        both = StubChannel()
        yield both, both
        return
    async with redis_channel(request.getfixturevalue("broker_url")) as pair:
        yield pair


async def read(follower: Follower, attempt: int = 1) -> list[Event]:
    """The events, neighbouring tokens as one: a follower may join them."""
    found: list[Event] = []
    async for event in follower.follow("job", attempt):
        if isinstance(event, Token) and found and isinstance(found[-1], Token):
            event = Token(found.pop().text + event.text)
        found += [event] if event is not None else []
    return found


async def test_a_late_follower_misses_nothing(ends: Ends) -> None:
    publisher, follower = ends
    assert publisher.publish("job", 1, 1, [Started(3), Token("一")])
    assert publisher.publish("job", 1, 3, [Token(" two")])
    publisher.close("job", 1, FINISHED)
    assert await read(follower) == [Started(3), Token("一 two"), FINISHED]


async def test_events_arrive_while_they_are_published(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("channel", "stub"):
        monkeypatch.setattr(f"edge.jobs.{module}.QUIET_MS", 50_000)
    publisher, follower = ends
    events = follower.follow("job", 1)
    publisher.publish("job", 1, 1, [Token("a")])
    assert await anext(events) == Token("a")
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    publisher.publish("job", 1, 2, [Token("b")])
    assert await asyncio.wait_for(waiting, 40) == Token("b")


async def test_a_quiet_second_gives_none(ends: Ends) -> None:
    _, follower = ends
    events = follower.follow("job", 1)
    assert await asyncio.wait_for(anext(events), 60) is None


@pytest.mark.parametrize("again", [1, 2, 3])
async def test_an_event_sent_again_is_read_once(ends: Ends, again: int) -> None:
    """The reply to the first sending got lost; more has happened meanwhile."""
    publisher, follower = ends
    events = [Token(letter) for letter in "abcdef"]
    assert publisher.publish("job", 1, 1, events[:4])
    assert publisher.publish("job", 1, again, events[again - 1 :])
    assert publisher.publish("job", 1, again, events[again - 1 :])
    publisher.close("job", 1, FINISHED)
    assert await read(follower) == [Token("abcdef"), FINISHED]


@closing
async def test_a_closing_event_is_the_last_in_its_stream(
    ends: Ends, last: Event
) -> None:
    publisher, follower = ends
    publisher.publish("job", 1, 1, [Token("a")])
    publisher.close("job", 1, last)
    publisher.publish("job", 1, 2, [Token("too late")])
    assert await read(follower) == [Token("a"), last]


@closing
@pytest.mark.parametrize("first", [1, 2, 3])
async def test_a_closed_stream_refuses_more(
    ends: Ends, last: Event, first: int
) -> None:
    publisher, _ = ends
    publisher.publish("job", 1, 1, [Token("a")])
    publisher.close("job", 1, last)
    assert not publisher.publish("job", 1, first, [Token("b"), Token("c")])
    assert publisher.publish("job", 2, 1, [Token("b")])  # another attempt is open


async def test_two_followers_see_the_same(ends: Ends) -> None:
    publisher, follower = ends
    both = asyncio.gather(read(follower), read(follower))
    await asyncio.sleep(0.05)
    publisher.publish("job", 1, 1, [Token("a")])
    publisher.close("job", 1, FINISHED)
    assert await both == [[Token("a"), FINISHED]] * 2


async def test_attempts_and_jobs_do_not_mix(ends: Ends) -> None:
    publisher, follower = ends
    publisher.publish("job", 1, 1, [Token("stale")])
    publisher.publish("other", 2, 1, [Token("foreign")])
    publisher.close("job", 2, FINISHED)
    assert await read(follower, attempt=2) == [FINISHED]


async def test_a_cancelled_follower_stops_at_once_however_busy(ends: Ends) -> None:
    """asyncio.wait_for of Python 3.11 swallows a cancellation that comes just when its
    future is done; a client library that uses it would make Stop do nothing."""
    publisher, follower = ends

    async def read_for_ever(job_id: str) -> None:
        numbers = itertools.count(2)
        async for _ in follower.follow(job_id, 1):
            publisher.publish(job_id, 1, next(numbers), [Token("more")])

    for i in range(300):
        publisher.publish(f"job{i}", 1, 1, [Token("first")])
        task = asyncio.ensure_future(read_for_ever(f"job{i}"))
        await asyncio.sleep(0.0003 * (i % 20))
        task.cancel()
        _, pending = await asyncio.wait({task}, timeout=60)
        publisher.close(f"job{i}", 1, FINISHED)  # or a failing test would not end
        assert not pending, f"cancellation {i} was swallowed"


# --- what only Redis can do: forget, and fill up -----------------------------------


@pytest.mark.redis
async def test_after_a_gap_only_the_last_event_is_given(harness: JobsHarness) -> None:
    """A crash of Redis takes the last second with it; the worker goes on counting."""
    harness.publisher.publish("job", 1, 1, [Token("a"), Token("b"), Token("c")])
    harness.sync.xdel(keys.EVENTS("job", 1), "2-0", "3-0")
    harness.publisher.publish("job", 1, 4, [Token("d"), Token("e")])
    harness.publisher.close("job", 1, FINISHED)
    assert await read(harness.follower) == [Token("a"), FINISHED]


@pytest.mark.redis
async def test_a_stream_that_begins_too_late_gives_only_its_last_event(
    harness: JobsHarness,
) -> None:
    harness.publisher.publish("job", 1, 7, [Token("g"), Token("h")])
    harness.publisher.close("job", 1, FINISHED)
    assert await read(harness.follower) == [FINISHED]


@pytest.mark.redis
async def test_quiet_seconds_give_none_after_a_gap_too(harness: JobsHarness) -> None:
    """Or the job would be cancelled as unwatched."""
    events = harness.follower.follow("job", 1)

    async def speak() -> None:
        for number in itertools.count(5):
            harness.publisher.publish("job", 1, number, [Token("lost")])
            await asyncio.sleep(0.1)

    speaking = asyncio.ensure_future(speak())
    try:
        assert await asyncio.wait_for(anext(events), 60) is None
    finally:
        speaking.cancel()


@pytest.mark.redis
async def test_an_early_accepted_event_is_not_numbered(
    harness: JobsHarness,
) -> None:
    job_id = await harness.ask()
    harness.worker.accept(job_id, 475, 400, 500)
    claim = harness.claim()
    harness.publisher.publish(job_id, 1, 1, [Started(475), Token("a")])
    harness.worker.end(claim, FINISHED)
    assert await harness.events(job_id) == [
        Accepted(475, 400),
        Started(475),
        Token("a"),
        FINISHED,
    ]


@pytest.mark.redis
async def test_a_late_accepted_event_is_dropped(harness: JobsHarness) -> None:
    job_id = await harness.ask()
    claim = harness.claim()
    harness.publisher.publish(job_id, 1, 1, [Started(475)])
    harness.worker.accept(job_id, 475, 400, 500)
    harness.worker.end(claim, FINISHED)
    assert await harness.events(job_id) == [Started(475), FINISHED]
