"""The HTTP response to an accepted question, for APIs whose answers are OpenAI's."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from ui.event_streams import await_answers, await_starts, unless_gone
from ui.questions import Received
from ui.sse import Reply, event_stream


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
