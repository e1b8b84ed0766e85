"""Whether an answer is right."""

from __future__ import annotations

import re
from typing import Final

from training.grounding import boxes_in, overlap
from training.questions import Question

ENOUGH: Final = 0.7  # intersection over union of a right box


def is_right(question: Question, answer: str) -> bool:
    """Equal, except that a description may name its objects in any order, and boxes
    may differ a little."""
    if question.kind == "describe":
        return _objects(answer) == _objects(question.answer)
    if question.kind == "locate":
        return _alike(question.answer, answer)
    return answer == question.answer


def _alike(expected: str, answer: str) -> bool:
    """The same text around boxes that overlap enough, in the same order."""
    right, found = boxes_in(expected), boxes_in(answer)
    return _without_numbers(answer) == _without_numbers(expected) and all(
        overlap(*pair) >= ENOUGH for pair in zip(right, found, strict=True)
    )


def _without_numbers(answer: str) -> str:
    return re.sub(r"\d+(?=[,\]])", "", answer)


def _objects(description: str) -> list[str]:
    """The objects of a description, without their places, sorted."""
    body = re.sub(r"^(The picture shows |图中)|[.。]$", "", description)
    parts = re.split(r", | and |，", body)
    return sorted(
        re.sub(r" (at|on|in) the [a-z ]+$|^[左右上下中间方边角]+(?=有)", "", part)
        for part in parts
    )
