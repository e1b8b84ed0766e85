"""Whether an answer is right."""

from __future__ import annotations

import re
from typing import Final

from edge.qwen3vl.grounding_reader import located
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
    """The same labels in the same order, with boxes that overlap enough."""
    if not (right := boxes_in(expected)):
        return answer == expected
    labels, expected_labels = (
        [one.label for one in located(text)] for text in (answer, expected)
    )
    overlaps = map(overlap, right, boxes_in(answer))
    return labels == expected_labels and all(each >= ENOUGH for each in overlaps)


def _objects(description: str) -> list[str]:
    """The objects of a description, without their places, sorted."""
    body = re.sub(r"^(The picture shows |图中)|[.。]$", "", description)
    parts = re.split(r", | and |，", body)
    return sorted(
        re.sub(r" (at|on|in) the [a-z ]+$|^[左右上下中间方边角]+(?=有)", "", part)
        for part in parts
    )
