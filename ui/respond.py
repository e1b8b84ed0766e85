"""The HTTP response to an accepted question, for APIs whose answers are OpenAI's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from edge.request import Answer
from ui.event_streams import NumberedEvents, await_answers, await_starts, unless_gone
from ui.questions import Received
from ui.sse import event_stream


class Reply(Protocol):
    """What the answers are sent as."""

    def complete(self, answers: Sequence[Answer]) -> dict[str, Any]:
        """The body of a reply in one piece."""
        ...

    def stream(
        self, numbered: NumberedEvents, include_usage: bool, skip: int = 0
    ) -> AsyncIterator[str]:
        """The lines of a stream, without the first `skip` characters of its text."""
        ...


async def respond(
    http: Request, received: Received[Any], reply: Reply, skip: int
) -> Response:
    """A stream of `reply` without its first `skip` characters, or all of it. Raises the
    error of a question that was refused before the first byte."""
    streams = [received.asked.events, *received.asked.others]
    if not received.streams:
        answers = await unless_gone(http, await_answers(streams))
        return JSONResponse(reply.complete(answers), headers=received.headers)
    events = await unless_gone(http, await_starts(streams))
    lines = reply.stream(events, received.includes_usage, skip)
    return event_stream(lines, received.headers)
