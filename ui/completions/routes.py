"""The HTTP API of completions: /v1/completions."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from ui.body import parse
from ui.completions.body import CompletionBody
from ui.completions.reply import Completion
from ui.event_streams import await_answers, await_starts, unless_gone
from ui.field_names import FieldNames
from ui.jobs import last_event_id
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
        names, skip = FieldNames(), last_event_id(http)

        def read(data: bytearray) -> tuple[ChatBody, str]:
            body = parse(CompletionBody, data)
            return body.chat_body(names), body.prompt if body.echo else ""

        with names.in_errors():
            received = await questions.receive(http, read)
            asked, job = received.asked, received.asked.job
            reply = Completion(
                job.job_id,
                job.created,
                asked.model,
                begin=received.kept,
                n=received.n_answers,
                are_equal=not asked.others,
            )
            streams = [asked.events, *asked.others]
            if not received.streams:
                answers = await unless_gone(http, await_answers(streams))
                return JSONResponse(reply.complete(answers), headers=received.headers)
            events = await unless_gone(http, await_starts(streams))
            lines = reply.stream(events, received.includes_usage, skip)
            return event_stream(lines, received.headers)

    return router
