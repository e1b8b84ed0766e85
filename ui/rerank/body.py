"""The body of POST /v1/rerank."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from edge.cache_use import CacheUse
from edge.qwen3vl import rerank
from ui.field_names import FieldNames
from ui.openai.body import ChatBody, Tier
from ui.openai.values import Body, Caching, Count
from ui.prompts import MOST_PROMPTS, Input, Prompts, refuse_unknown

_SHORTER = "Send shorter documents: none is cut here."
REFUSED: Final = {
    "max_tokens_per_doc": _SHORTER,
    "max_chunks_per_doc": _SHORTER,
    "truncate": _SHORTER,
    "truncation": _SHORTER,
    "truncate_prompt_tokens": _SHORTER,
    "rank_fields": 'Send each document as {"text": ...} of these fields.',
    "texts": "Use documents.",
    "top_k": "Use top_n.",
    "instruct": "Use instruction.",
    "raw_scores": "Scores are probabilities.",
    "return_text": "Use return_documents.",
    "stream": "The scores come together.",
}


class RerankBody(Body):
    query: Input
    documents: list[Input] = Field(
        min_length=1, max_length=MOST_PROMPTS, fail_fast=True
    )
    model: Annotated[str, Field(max_length=1000)] = ""
    instruction: Annotated[str, Field(min_length=1, max_length=4000)] = (
        rerank.INSTRUCTION
    )
    top_n: Count | None = None
    return_documents: bool = False
    cache: Caching = CacheUse.DEFAULT
    service_tier: Tier | None = None
    priority: Annotated[int, Field(ge=-(2**31), lt=2**31)] = 0

    def chat_body(self, names: FieldNames) -> ChatBody:
        """The prompts of all documents; `names` learns where they come from. Raises
        InvalidRequest, UnsupportedParameter."""
        refuse_unknown(self, REFUSED)
        prompts = Prompts(rerank.SYSTEM, names, rerank.EMPTY)
        prompts.add(rerank.before_query(self.instruction), self.query, "query")
        for i, document in enumerate(self.documents):
            prompts.add(rerank.DOCUMENT, document, f"documents[{i}]")
        return prompts.body(self, ("model", "cache", "service_tier", "priority"))
