"""The HTTP API of reranking."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from ui.openapi import documented
from ui.prompts import compute
from ui.questions import Questions
from ui.rerank.body import RerankBody
from ui.rerank.reply import Ranking, Reranked


def rerank_routes(questions: Questions) -> APIRouter:
    """The API, whose questions are asked by `questions`."""
    router = APIRouter()

    async def ranked(http: Request, *, lists_scores: bool) -> Response:
        received, answer = await compute(
            questions, http, RerankBody, Ranking.of, "score"
        )
        asked = received.asked
        reply = received.kept.reply(answer, asked.model, asked.job.job_id)
        if lists_scores:
            reply["scores"] = answer.scores
        return JSONResponse(reply, headers=received.headers)

    @router.post("/v1/rerank")
    @router.post("/v2/rerank")  # where Cohere's newer client asks
    @documented(body=RerankBody, answer=Reranked)
    async def rerank(http: Request) -> Response:
        return await ranked(http, lists_scores=False)

    @router.post("/api/rerank")
    @documented(body=RerankBody, answer=Reranked)
    async def rerank_with_scores(http: Request) -> Response:
        """As Qwen3-VL-Reranker's `process`: the scores in the order of the documents,
        beside the results."""
        return await ranked(http, lists_scores=True)

    return router
