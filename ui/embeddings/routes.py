"""The HTTP API of embeddings."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from ui.body import parse
from ui.embeddings.body import EmbeddingsBody
from ui.embeddings.reply import Embeddings, Form
from ui.event_streams import await_answer, unless_gone
from ui.field_names import FieldNames
from ui.openai.body import ChatBody
from ui.openapi import documented
from ui.questions import Questions


def embedding_routes(questions: Questions) -> APIRouter:
    """The API, whose questions are asked by `questions`."""
    router = APIRouter()

    @router.post("/v1/embeddings")
    @documented(body=EmbeddingsBody, answer=Embeddings)
    async def embeddings(http: Request) -> Response:
        names = FieldNames()

        def read(data: bytearray) -> tuple[ChatBody, Form]:
            body = parse(EmbeddingsBody, data)
            return body.chat_body(names), Form.of(body)

        with names.in_errors():
            received = await questions.receive(http, read, wants="embedding")
            answer = await unless_gone(http, await_answer(received.asked.events))
        reply = received.kept.reply(answer, received.asked.model)
        return JSONResponse(reply, headers=received.headers)

    return router
