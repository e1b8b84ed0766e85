"""The HTTP API of completions: /v1/completions."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from ui.body import parse
from ui.completions.body import CompletionBody
from ui.completions.reply import Completion
from ui.event_streams import await_answer, await_start, unless_gone
from ui.field_names import FieldNames
from ui.openai.answers import Answered
from ui.openai.body import ChatBody
from ui.openapi import documented
from ui.questions import Questions
from ui.sse import event_stream


def completion_routes(questions: Questions) -> APIRouter:
    """The API, whose questions are asked by `questions`."""
    router = APIRouter()

    @router.post("/v1/completions")
    @documented(body=CompletionBody, answer=Answered, stream="text/event-stream")
    async def completions(http: Request) -> Response:
        names = FieldNames()

        def read(data: bytearray) -> tuple[ChatBody, str]:
            body = parse(CompletionBody, data)
            return body.chat_body(names), body.prompt if body.echo else ""

        with names.in_errors():
            received = await questions.receive(http, read)
            asked, job = received.asked, received.asked.job
            reply = Completion(job.job_id, job.created, asked.model, received.kept)
            if not received.streams:
                answer = await unless_gone(http, await_answer(asked.events))
                return JSONResponse(reply.body(answer), headers=received.headers)
            events = await unless_gone(http, await_start(asked.events))
            lines = reply.stream(events, received.includes_usage)
            return event_stream(lines, received.headers)

    return router
