"""What /v1/rerank answers: Cohere's and Jina's objects in one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from edge.request import Answer
from ui.openai.answers import Answered
from ui.prompts import InputBody
from ui.rerank.body import RerankBody


class Result(Answered):
    """For the OpenAPI document, as the others here."""

    index: int
    relevance_score: float
    document: dict[str, Any] | None = None


class Reranked(Answered):
    id: str
    object: Literal["list"]
    model: str
    results: list[Result]
    usage: dict[str, int]
    meta: dict[str, Any]


@dataclass(frozen=True)
class Ranking:
    """What is kept of a body: how many results its client wants, the documents that it
    wants back, without the bytes of pictures, and warnings about its fields."""

    top_n: int | None
    documents: tuple[dict[str, Any], ...]
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, body: RerankBody) -> Ranking:
        shown = map(_shown, body.documents) if body.return_documents else ()
        return cls(body.top_n, tuple(shown), tuple(body.warnings()))

    def reply(self, answer: Answer, model: str, job_id: str) -> dict[str, Any]:
        """The best first; of equal ones the first."""
        scores = answer.scores
        order = sorted(range(len(scores)), key=lambda i: -scores[i])[: self.top_n]
        n_tokens = answer.usage.prompt_tokens
        warned = {"warnings": list(self.warnings)} if self.warnings else {}
        return {
            "id": f"rerank-{job_id}",
            "object": "list",
            "model": model,
            "results": [self._result(i, scores[i]) for i in order],
            "usage": {
                "prompt_tokens": n_tokens,
                "total_tokens": n_tokens,
                "cached_tokens": answer.usage.cached_tokens,
            },
            "meta": {
                "billed_units": {"search_units": 1},
                "tokens": {"input_tokens": n_tokens, "output_tokens": 0},
                **warned,
            },
            "timings": vars(answer.timings),
        }

    def _result(self, i: int, score: float) -> dict[str, Any]:
        shown = {"document": self.documents[i]} if self.documents else {}
        return {"index": i, "relevance_score": score} | shown


def _shown(document: InputBody) -> dict[str, Any]:
    """A picture is shown by its address, if it has a short one."""
    texts, shown = [], {}
    for _, part in document.parts():
        if part["type"] == "text":
            texts.append(part["text"])
        elif not part.get("image_url", {"url": "data:"})["url"].startswith("data:"):
            shown["image"] = part["image_url"]["url"]
    return {"text": "".join(texts)} | shown
