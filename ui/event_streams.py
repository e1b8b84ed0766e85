"""The path of a job's events from the broker to a client, and its last steps.

An event passes these wrappers in this order. Each has one reason:

1. `edge.jobs.channel.RedisFollower.follow`: reads one attempt's stream and waits out a
   broker that is away for seconds.
2. `edge.jobs.client_side.ClientJobs.follow`: goes on with the next attempt, and looks
   at the job's record once a second, for its queue position and its end.
3. `ui.subscriptions.Subscriptions.follow`: counts open streams, so that a server that
   stops can wait for them; makes an event of a lost broker and of its own stop.
4. `ui.asking.Asking._follow`: measures, caches the answer, and cancels the job when its
   client leaves. A known answer has `_known_stream` in place of 1 to 4.
5. `await_start` (streamed) or `await_answer` (whole): raises an early error while a
   proper HTTP status can still be sent.
6. `unless_gone`, around step 5: notices that the client hung up, which nothing else
   does before the first byte of a response.
7. `ui.sse.Reply.stream`: writes the lines of the stream, without what a client that
   resumes already has.

The page renders the events of step 4 itself; `/v1/jobs/{id}/events` goes from 3 to 7.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from typing import TypeVar

from fastapi import Request

from edge.errors import Cancelled, EngineError
from edge.events import Accepted, Event, Failed, Finished, Started, Token
from edge.request import Answer

T = TypeVar("T")

# None: a second without an event.
Events = AsyncGenerator[Event | None, None]

QUIET_STARTS = 2  # events that say nothing of the start; then a stream begins anyway


async def await_start(events: Events) -> Events:
    """The same events, from the one that shows that a worker accepted the question, or
    from the QUIET_STARTS-th that does not.

    Raises the error of a question that was refused: as long as no byte has been sent,
    it can have a proper HTTP status.
    """
    n_quiet = 0
    async for event in events:
        if isinstance(event, Failed):
            raise event.error
        is_news = isinstance(event, Accepted | Started | Token | Finished)
        n_quiet += not is_news
        if is_news or n_quiet == QUIET_STARTS:
            return _put_back(event, events)
    raise EngineError("This question ended without an answer.")


async def await_answer(events: Events) -> Answer:
    """The answer at the end of the events. Raises the error if there is none."""
    async for event in events:
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Finished):
            return event.answer
    raise EngineError("This question ended without an answer.")


async def unless_gone(http: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled as soon as the client hangs up.

    Raises Cancelled then.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_await_disconnect(http))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Cancelled("The client hung up.")
    finally:
        task.cancel()
        gone.cancel()


async def _await_disconnect(http: Request) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass


async def _put_back(first: Event | None, rest: Events) -> Events:
    yield first
    async for event in rest:
        yield event
