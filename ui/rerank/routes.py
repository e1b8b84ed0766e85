"""The HTTP API of reranking."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from edge.request import Answer
from ui.asking import Asked
from ui.openapi import documented
from ui.prompts import respond_in_one
from ui.questions import Questions
from ui.rerank.body import RerankBody
from ui.rerank.reply import Ranking, Reranked


def rerank_routes(questions: Questions) -> APIRouter:
    """The API, whose questions are asked by `questions`."""
    router = APIRouter()

    async def ranked(http: Request, *, lists_scores: bool) -> Response:
        def reply(ranking: Ranking, asked: Asked, answer: Answer) -> dict[str, Any]:
            found = ranking.reply(answer, asked.model, asked.job.job_id)
            return found | ({"scores": answer.scores} if lists_scores else {})

        return await respond_in_one(
            questions, http, RerankBody, Ranking.of, "score", reply
        )

    @router.post("/v1/rerank")
    @router.post("/v2/rerank")  # where Cohere's newer client asks
    @documented(body=RerankBody, answer=Reranked, stream="text/event-stream")
    async def rerank(http: Request) -> Response:
        return await ranked(http, lists_scores=False)

    @router.post("/api/rerank")
    @documented(body=RerankBody, answer=Reranked, stream="text/event-stream")
    async def rerank_with_scores(http: Request) -> Response:
        """As Qwen3-VL-Reranker's `process`: the scores in the order of the documents,
        beside the results."""
        return await ranked(http, lists_scores=True)

    return router
