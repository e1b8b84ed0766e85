"""The body of POST /v1/rerank."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AliasChoices, Field

from edge.qwen3vl import rerank
from ui.field_names import FieldNames
from ui.openai.body import ChatBody
from ui.openai.values import Count
from ui.prompts import MOST_PROMPTS, Input, Prompts, PromptsBody, refuse_unknown

# These bound what other servers read of a document. Here it is read to its end.
CUTS: Final = (
    "max_tokens_per_doc",
    "max_chunks_per_doc",
    "truncate",
    "truncation",
    "truncate_prompt_tokens",
)
REFUSED: Final = {
    "rank_fields": 'Send each document as {"text": ...} of these fields.',
    "texts": "Use documents.",
    "instruct": "Use instruction.",
    "raw_scores": "Scores are probabilities.",
    "return_text": "Use return_documents.",
}


class RerankBody(PromptsBody):
    query: Input
    documents: list[Input] = Field(
        min_length=1, max_length=MOST_PROMPTS, fail_fast=True
    )
    instruction: Annotated[str, Field(min_length=1, max_length=4000)] = (
        rerank.INSTRUCTION
    )
    # the other name is Voyage's
    top_n: Count | None = Field(None, validation_alias=AliasChoices("top_n", "top_k"))
    return_documents: bool = False

    def warnings(self) -> list[str]:
        """What a client should know of the fields that it sent."""
        extra = self.model_extra or {}
        return [
            f"{name} is ignored: documents are read to their ends."
            for name in CUTS
            if extra.get(name)
        ]

    def chat_body(self, names: FieldNames) -> ChatBody:
        refuse_unknown(self, REFUSED, CUTS)
        prompts = Prompts(rerank.SYSTEM, names, rerank.EMPTY)
        prompts.add(rerank.before_query(self.instruction), self.query, "query")
        for i, document in enumerate(self.documents):
            prompts.add(rerank.DOCUMENT, document, f"documents[{i}]")
        return prompts.body(self)
