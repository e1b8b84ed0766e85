"""The Messages API: /v1/messages, and /v1/messages/count_tokens."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from ui.anthropic.body import MessagesBody
from ui.anthropic.reply import MessageReply
from ui.anthropic.translation import chat_body
from ui.body import parse
from ui.event_streams import await_answer, await_start, unless_gone
from ui.field_names import FieldNames
from ui.openai.answers import Answered
from ui.openai.body import ChatBody
from ui.openapi import documented
from ui.questions import Questions
from ui.sse import event_stream


def message_routes(questions: Questions) -> APIRouter:
    """The API, whose questions are asked by `questions`."""
    router = APIRouter()

    @router.post("/v1/messages")
    @documented(body=MessagesBody, answer=Answered, stream="text/event-stream")
    async def messages(http: Request) -> Response:
        names = FieldNames()
        with names.in_errors():
            received = await questions.receive(
                http, lambda data: (read_messages(data, names), None)
            )
            asked = received.asked
            reply = MessageReply(
                asked.job.job_id, asked.model, names, has_tools=received.has_tools
            )
            if not received.streams:
                answer = await unless_gone(http, await_answer(asked.events))
                return JSONResponse(reply.complete(answer), headers=received.headers)
            events = await unless_gone(http, await_start(asked.events))
            return event_stream(reply.stream(events), received.headers)

    @router.post("/v1/messages/count_tokens")
    @documented(body=MessagesBody, answer=Answered)
    async def count_tokens(http: Request) -> Response:
        names = FieldNames()
        with names.in_errors():
            received = await questions.receive(
                http, lambda data: (read_messages(data, names), None), wants="count"
            )
            count = await unless_gone(http, await_answer(received.asked.events))
            body = {"input_tokens": count.usage.prompt_tokens}
            return JSONResponse(body, headers=received.headers)

    return router


def read_messages(data: bytearray, names: FieldNames) -> ChatBody:
    """The question of a body. Raises InvalidRequest, UnsupportedParameter."""
    body = parse(MessagesBody, data)
    body.refuse_unsupported()
    return chat_body(body, names)
