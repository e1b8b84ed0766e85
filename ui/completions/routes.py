"""The HTTP API of completions: /v1/completions."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from ui.body import parse
from ui.completions.body import CompletionBody
from ui.completions.reply import Completion
from ui.field_names import FieldNames
from ui.jobs import last_event_id
from ui.openai.answers import Answered
from ui.openai.body import ChatBody
from ui.openapi import documented
from ui.questions import Questions
from ui.respond import respond


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
            return await respond(http, received, reply, skip)

    return router
