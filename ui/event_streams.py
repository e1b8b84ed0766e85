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
5. `together`: joins the streams of all the answers to one question.
6. `await_starts` (streamed) or `await_answers` (whole): raises an early error while a
   proper HTTP status can still be sent.
7. `unless_gone`, around step 6: notices that the client hung up, which nothing else
   does before the first byte of a response.
8. `ui.sse.Reply.stream`: writes the lines of the stream, without what a client that
   resumes already has.

The page renders the events of step 4 itself; `/v1/jobs/{id}/events` goes from 3 to 8.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Iterable, Sequence
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from fastapi import Request

from edge.errors import Cancelled, EngineError
from edge.events import (
    Accepted,
    Event,
    Failed,
    Finished,
    PageStarted,
    Started,
    Terminal,
    Token,
)
from edge.request import Answer

T = TypeVar("T")

# None: a second without an event.
Events = AsyncGenerator[Event | None, None]
# Of several jobs, each with the number of its stream.
NumberedEvents = AsyncGenerator[tuple[int, Event | None], None]

NEWS = (PageStarted, Accepted, Started, Token, Finished)
QUIET_STARTS = 2  # events that say nothing of the start; then a stream begins anyway


async def await_start(events: Events) -> Events:
    """The same events, as `await_starts` gives them."""
    return _unnumbered(await await_starts([events]))


async def await_starts(streams: Sequence[Events]) -> NumberedEvents:
    """The events of `together`, from the one that shows that a worker accepted the
    question, or from the QUIET_STARTS-th of the first stream that does not.

    Raises the error of a question that was refused: as long as no byte has been sent,
    it can have a proper HTTP status.
    """
    n_quiet, events = 0, together(streams)
    async for i, event in events:
        if isinstance(event, Failed):
            await events.aclose()
            raise event.error
        is_news = isinstance(event, NEWS)
        n_quiet += not is_news and i == 0
        if is_news or n_quiet == QUIET_STARTS:
            return put_back((i, event), events)
    raise EngineError("This question ended without an answer.")


async def await_answer(events: Events) -> Answer:
    """The answer at the end of the events. Raises the error if there is none."""
    [answer] = await await_answers([events])
    return answer


async def await_answers(streams: Sequence[Events]) -> list[Answer]:
    """The answer at the end of each stream. Raises the first error of any."""
    answers: dict[int, Answer] = {}
    async with aclosing(together(streams)) as events:
        async for i, event in events:
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, Finished):
                answers[i] = event.answer
    if len(answers) < len(streams):
        raise EngineError("This question ended without an answer.")
    return [answers[i] for i in range(len(streams))]


async def together(streams: Sequence[Events]) -> NumberedEvents:
    """The events of several jobs as they come. Closing it closes all streams."""
    # each stream that has not ended is being read, so that it can be cancelled
    reads = {asyncio.ensure_future(anext(each)): i for i, each in enumerate(streams)}
    try:
        while reads:
            done, _ = await asyncio.wait(reads, return_when=asyncio.FIRST_COMPLETED)
            news: list[tuple[int, Event | None]] = []
            for read in done:
                i = reads.pop(read)
                with suppress(StopAsyncIteration):
                    news.append((i, read.result()))
                    if not isinstance(read.result(), Terminal):
                        reads[asyncio.ensure_future(anext(streams[i]))] = i
            for each in news:
                yield each
    finally:
        closing = asyncio.ensure_future(_close(reads, streams))
        _closing.add(closing)  # the loop itself would not keep it alive
        closing.add_done_callback(_closing.discard)
        await asyncio.shield(closing)  # this may be cancelled at each await


_closing: set[asyncio.Future[None]] = set()


async def _close(reads: Iterable[asyncio.Task[Any]], streams: Sequence[Events]) -> None:
    """Closes streams that are being read, also where a read has not begun or is done:
    cancelling it does not reach the stream then."""
    for read in reads:
        read.cancel()
    await asyncio.gather(*reads, return_exceptions=True)
    for stream in streams:
        await stream.aclose()


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
        del task  # its error knows this frame, and what `work` held: megabytes


async def _await_disconnect(http: Request) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass


async def put_back(first: T, rest: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """`rest` with the `first` that was taken from it. Closing it closes `rest`."""
    async with aclosing(rest):
        yield first
        async for one in rest:
            yield one


async def _unnumbered(events: NumberedEvents) -> Events:
    async with aclosing(events):
        async for _, event in events:
            yield event
