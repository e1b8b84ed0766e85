"""One answer to each page, in their order, as the events of a single answer.

Each page is a job of its own, which is asked when the answer before it is complete: a
long document takes one slot at a time, and queues again behind other people's questions
for each page. When the client hangs up no further page is asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

from edge.errors import EdgeError
from edge.events import Failed, Finished, PageStarted, Retried, Token
from edge.jobs.submission import Submission
from edge.request import Answer
from ui.asking import Asked
from ui.client import Client
from ui.event_streams import Events
from ui.meter import Meter
from ui.new_text import NewText
from ui.paged_answer import joined
from ui.parsed_question import ParsedQuestion
from ui.question import SentPicture


async def ask_each(
    client: Client, submission: Submission, question: ParsedQuestion, meter: Meter
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
        with client.metrics.question() as watch:
            return await client.ask(named, each[i][1], meter, watch)

    async def held(events: Events) -> Events:
        with client.pages_in_flight.holding(address) as hold:
            hold(n_bytes)
            async with aclosing(events):
                async for event in events:
                    yield event

    first = await ask(0)
    events = join(first, [label for label, _ in each], ask)
    return replace(first, is_cached=False, events=held(events))


def _n_bytes(question: ParsedQuestion) -> int:
    """Of the files that the question keeps until its last page is asked."""
    files = {p.digest: p for p in question.pictures if isinstance(p, SentPicture)}
    return sum(len(file.load()) for file in files.values())


async def join(
    first: Asked, labels: Sequence[str], ask: Callable[[int], Awaitable[Asked]]
) -> Events:
    """The events of all answers: to the page that was asked `first`, and to the others,
    which `ask` asks by their numbers. A heading with its label stands before each
    answer. The first that fails ends all."""
    text, pages = "", list[tuple[str, Answer]]()
    for i, label in enumerate(labels):
        heading = f"\n\n## {label}\n\n" if text else f"## {label}\n\n"
        try:
            asked = await ask(i) if i else first
        except EdgeError as error:
            yield Failed.because(error)
            return
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
