"""The boxes and points of an answer, as every API tells them."""

from __future__ import annotations

from typing import Any

from edge.request import Answer


def grounding(answer: Answer) -> dict[str, Any]:
    """The field `grounding`, if the answer names boxes or points. No API has such a
    field: an answer without marks has none either."""
    if not answer.marks:
        return {}
    return {"grounding": [mark.described() for mark in answer.marks]}
