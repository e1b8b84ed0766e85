"""What every channel promises: the stub and the real one over Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from edge.events import Event, Failed, Finished, Started, Token
from edge.jobs.channel import Follower, Publisher, RedisFollower, RedisPublisher
from edge.jobs.stub import StubChannel
from edge.redis_clients import async_client, sync_client
from edge.request import Answer

FINISHED = Finished(Answer("一 two", "stop"))
Ends = tuple[Publisher, Follower]


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
    events = follower.follow("job", attempt)
    return [event async for event in events if event is not None]


async def test_a_late_follower_misses_nothing(ends: Ends) -> None:
    publisher, follower = ends
    events = [Started(3), Token("一"), Token(" two"), FINISHED]
    for event in events:
        publisher.publish("job", 1, event)
    assert await read(follower) == events


async def test_events_arrive_while_they_are_published(ends: Ends) -> None:
    publisher, follower = ends
    events = follower.follow("job", 1)
    publisher.publish("job", 1, Token("a"))
    assert await anext(events) == Token("a")
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    publisher.publish("job", 1, Token("b"))
    assert await asyncio.wait_for(waiting, 0.5) == Token("b")


async def test_a_quiet_second_is_told(ends: Ends) -> None:
    _, follower = ends
    events = follower.follow("job", 1)
    assert await asyncio.wait_for(anext(events), 2) is None


@pytest.mark.parametrize("last", [FINISHED, Failed("cancelled", "enough")])
async def test_the_terminal_event_is_the_last(ends: Ends, last: Event) -> None:
    publisher, follower = ends
    publisher.publish("job", 1, last)
    publisher.publish("job", 1, Token("too late"))
    assert await read(follower) == [last]


async def test_two_followers_see_the_same(ends: Ends) -> None:
    publisher, follower = ends
    both = asyncio.gather(read(follower), read(follower))
    await asyncio.sleep(0.05)
    publisher.publish("job", 1, Token("a"))
    publisher.publish("job", 1, FINISHED)
    assert await both == [[Token("a"), FINISHED]] * 2


async def test_attempts_and_jobs_do_not_mix(ends: Ends) -> None:
    publisher, follower = ends
    publisher.publish("job", 1, Token("stale"))
    publisher.publish("other", 2, Token("foreign"))
    publisher.publish("job", 2, FINISHED)
    assert await read(follower, attempt=2) == [FINISHED]


async def test_a_cancelled_follower_stops_at_once_however_busy(ends: Ends) -> None:
    """asyncio.wait_for of Python 3.11 swallows a cancellation that comes just when its
    future is done; a client library that uses it would make Stop do nothing."""
    publisher, follower = ends

    async def read_for_ever(job_id: str) -> None:
        async for _ in follower.follow(job_id, 1):
            publisher.publish(job_id, 1, Token("more"))

    for i in range(300):
        publisher.publish(f"job{i}", 1, Token("first"))
        task = asyncio.ensure_future(read_for_ever(f"job{i}"))
        await asyncio.sleep(0.0003 * (i % 20))
        task.cancel()
        _, pending = await asyncio.wait({task}, timeout=1)
        publisher.publish(f"job{i}", 1, FINISHED)  # or a failing test would not end
        assert not pending, f"cancellation {i} was swallowed"
