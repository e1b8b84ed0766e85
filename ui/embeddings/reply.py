"""What /v1/embeddings answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from edge.errors import InvalidRequest
from edge.jobs.fleet import WorkerInfo
from edge.qwen3vl import embedding
from edge.request import Answer
from ui.embeddings.body import EmbeddingsBody
from ui.openai.answers import Answered
from ui.questions import Check


class Embedding(Answered):
    """For the OpenAPI document, as the other one."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Embeddings(Answered):
    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: dict[str, int]


@dataclass(frozen=True)
class Form:
    """What is kept of a body: how its client wants the vectors."""

    dimensions: int | None
    is_base64: bool

    @classmethod
    def of(cls, body: EmbeddingsBody) -> Form:
        return cls(body.dimensions, body.encoding_format == "base64")

    def check(self) -> Check | None:
        """What raises InvalidRequest for more dimensions than the model has; None where
        no number was asked for."""
        return self._check_worker if self.dimensions else None

    def reply(self, answer: Answer, model: str) -> dict[str, Any]:
        """Raises InvalidRequest as `check` does, where a worker has not said it."""
        vectors = [self._vector(packed) for packed in answer.embeddings]
        n_tokens = answer.usage.prompt_tokens
        return {
            "object": "list",
            "data": [
                {"object": "embedding", "index": i, "embedding": vector}
                for i, vector in enumerate(vectors)
            ],
            "model": model,
            "usage": {"prompt_tokens": n_tokens, "total_tokens": n_tokens},
            "timings": vars(answer.timings),
        }

    def _vector(self, packed: str) -> list[float] | str:
        if self.dimensions:
            self._check(len(embedding.unpack(packed)))
            packed = embedding.shortened(packed, self.dimensions)
        return packed if self.is_base64 else embedding.unpack(packed)

    def _check_worker(self, served: WorkerInfo) -> None:
        self._check(served.n_dimensions)

    def _check(self, n: int | None) -> None:
        if self.dimensions and n and self.dimensions > n:
            raise InvalidRequest(
                f"This model's embeddings have {n} dimensions. Send fewer.",
                param="dimensions",
            )
