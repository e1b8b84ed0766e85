"""The HTTP API of embeddings."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from ui.embeddings.body import EmbeddingsBody
from ui.embeddings.reply import Embeddings, Form
from ui.openapi import documented
from ui.prompts import compute
from ui.questions import Questions


def embedding_routes(questions: Questions) -> APIRouter:
    """The API, whose questions are asked by `questions`."""
    router = APIRouter()

    @router.post("/v1/embeddings")
    @documented(body=EmbeddingsBody, answer=Embeddings)
    async def embeddings(http: Request) -> Response:
        received, answer = await compute(
            questions, http, EmbeddingsBody, Form.of, "embedding", Form.check
        )
        reply = received.kept.reply(answer, received.asked.model)
        return JSONResponse(reply, headers=received.headers)

    return router
