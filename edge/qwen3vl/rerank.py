"""How Qwen3-VL scores a document for a query: the probability of "yes" against "no".

Source: Qwen3-VL-Embedding, `src/models/qwen3_vl_reranker.py`; vLLM's
`examples/pooling/score/template/qwen3_vl_reranker.jinja` agrees. The prompt is a system
message and one of the user: the instruction, the query and the document. A picture
comes before the text of its side.
"""

from __future__ import annotations

import math
from typing import Final

SYSTEM: Final = (
    "Judge whether the Document meets the requirements based on the Query and the "
    'Instruct provided. Note that the answer can only be "yes" or "no".'
)
INSTRUCTION: Final = (
    "Given a search query, retrieve relevant candidates that answer the query."
)
EMPTY: Final = "NULL"  # in place of a query or document without text and picture
DOCUMENT: Final = "\n<Document>:"  # before the document
YES, NO = "yes", "no"


def before_query(instruction: str) -> str:
    """The text before the query."""
    return f"<Instruct>: {instruction}<Query>:"


def probability(log_odds: float) -> float:
    """Of "yes", by the difference of the two logits."""
    if log_odds < 0:  # exp of a large number would overflow
        return 1 - probability(-log_odds)
    return 1 / (1 + math.exp(-log_odds))
