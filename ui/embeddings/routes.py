"""The HTTP API of embeddings."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from edge.request import Answer
from ui.asking import Asked
from ui.embeddings.body import EmbeddingsBody
from ui.embeddings.reply import Embeddings, Form
from ui.openapi import documented
from ui.prompts import respond_in_one
from ui.questions import Questions


def embedding_routes(questions: Questions) -> APIRouter:
    """The API, whose questions are asked by `questions`."""
    router = APIRouter()

    def reply(form: Form, asked: Asked, answer: Answer) -> dict[str, Any]:
        return form.reply(answer, asked.model)

    @router.post("/v1/embeddings")
    @documented(body=EmbeddingsBody, answer=Embeddings, stream="text/event-stream")
    async def embeddings(http: Request) -> Response:
        return await respond_in_one(
            questions, http, EmbeddingsBody, Form.of, "embedding", reply, Form.check
        )

    return router
