"""One answer to each page, in their order, as the events of a single answer.

Each page is a job of its own, which is asked when the answer before it is complete: a
long document takes one slot at a time, and queues again behind other people's questions
for each page. When the client hangs up no further page is asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

from edge.errors import EdgeError, QueueFull, ShuttingDown, Unavailable
from edge.events import Failed, Finished, PageStarted, Retried, Terminal, Token
from edge.jobs.submission import Submission
from edge.request import Answer
from ui.asking import Asked
from ui.client import Client
from ui.event_streams import Events
from ui.meter import Meter
from ui.metrics import Stopwatch
from ui.new_text import NewText
from ui.page_watch import PageWatch
from ui.paged_answer import joined
from ui.parsed_question import ParsedQuestion
from ui.question import Frames, SentPicture, SentVideo


async def ask_each(
    client: Client,
    submission: Submission,
    question: ParsedQuestion,
    meter: Meter,
    watch: Stopwatch,
) -> Asked:
    """The answers to all pages, once the first of them is accepted. An Idempotency-Key
    names the job of each page too, so that a client can come back.

    Raises an EdgeError if the first is refused, or if there are no pages.
    """
    each = question.each()
    address, n_bytes = submission.caller.address, _n_bytes(question)
    with client.pages_in_flight.holding(address) as hold:
        hold(n_bytes)  # raises if there is no room

    async def ask(i: int) -> Asked:
        key = submission.idempotency_key
        named = replace(submission, idempotency_key=f"{key}#{i}" if key else "")
        return await client.ask(
            named, each[i][1], meter, PageWatch(client.metrics, watch)
        )

    async def held(events: Events) -> Events:
        with watch, client.pages_in_flight.holding(address) as hold:
            hold(n_bytes)
            yield None
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, Terminal):
                        watch.record_event(event)
                    yield event

    first = await ask(0)
    labels = [label for label, _ in each]
    events = held(join(first, labels, ask, client.settings.deadline_s))
    await anext(events)  # only one that has begun counts that its client left
    return replace(first, is_cached=False, events=events)


def _n_bytes(question: ParsedQuestion) -> int:
    """Of the files that the question keeps until its last page is asked."""
    files: list[bytes] = []
    for one in question.pictures:
        if isinstance(one, SentPicture | SentVideo):
            files.append(one.load())
        elif isinstance(one, Frames):
            files += [file for file in one.files if isinstance(file, bytes)]
    return sum({id(file): len(file) for file in files}.values())  # each page has one


async def join(
    first: Asked,
    labels: Sequence[str],
    ask: Callable[[int], Awaitable[Asked]],
    patience_s: float,
) -> Events:
    """The events of all answers: to the page that was asked `first`, and to the others,
    which `ask` asks by their numbers. A heading with its label stands before each
    answer. The first that fails ends all.

    A page for which there is no room or no worker is asked again, for `patience_s`, so
    that the answers before it are not lost."""
    text, pages = "", list[tuple[str, Answer]]()
    for i, label in enumerate(labels):
        heading = f"\n\n## {label}\n\n" if text else f"## {label}\n\n"
        asked = None if i else first
        until = time.monotonic() + patience_s
        while asked is None:
            try:
                asked = await ask(i)
            except EdgeError as error:
                pause_s = error.retry_after_s or 0
                may_pass = isinstance(error, QueueFull | Unavailable) and pause_s
                is_over = error.is_final or isinstance(error, ShuttingDown)
                is_late = time.monotonic() + pause_s > until
                if not may_pass or is_over or is_late:
                    yield Failed.because(error)
                    return
                for _ in range(pause_s):
                    await asyncio.sleep(1)
                    yield None
        yield PageStarted(label, asked.job.job_id)
        yield Token(heading)
        text += heading
        new = NewText()
        async with aclosing(asked.events) as events:
            async for event in events:
                match event:
                    case Token() | Finished():
                        if added := new.read(event).new:
                            yield Token(added)
                        if isinstance(event, Finished):
                            text += event.answer.text
                            pages.append((label, event.answer))
                    case Retried():  # of this page; those before it stay
                        new = NewText()
                        yield event
                        yield Token(text)
                    case _:
                        yield event
                if isinstance(event, Failed):
                    return
    yield Finished(joined(text, pages))
