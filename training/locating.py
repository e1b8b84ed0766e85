"""Rows for locating: questions for boxes, and which tokens of the answers matter.

Most of an answer is always the same text, which is learned in a few steps. What matters
are the leading digits, hundreds and tens of a thousandth of the picture, that a number
does not end before its units, and how many boxes there are.
"""

from __future__ import annotations

import re
from itertools import pairwise
from random import Random
from typing import Final

import numpy as np

from training.grounding import boxes_in, locate
from training.questions import Question
from training.rows import Row, VisionInput, ask_turn, learn
from training.scenes import Shapes
from training.tokens import Tokens

N_TOKENS: Final = 270  # of a row: questions are added up to this length
TEXT: Final = 0.15  # weight of a token other than a digit of a box
DIGITS: Final = (0.3, 1.0, 1.0, 1.0)  # units, tens, hundreds, thousands
ENDS: Final = 0.5  # of what ends a number
DECIDES: Final = 1.0  # of what decides whether there is another box


def locating(rng: Random, tokens: Tokens, seen: VisionInput) -> Row:
    """A conversation about the boxes of a picture of shapes."""
    assert isinstance(seen.scene, Shapes)
    row = Row()
    fresh: VisionInput | None = seen
    while fresh or len(row.ids) < N_TOKENS - 60:
        question = locate(rng, seen.scene, seen.boxes, rng.choice(("en", "zh")))
        last = rng.random() < 0.3
        ask_turn(row, tokens, question.text, fresh, picture_last=last)
        answer_boxes(row, tokens, question, seen)
        fresh = None
    return row


def answer_boxes(
    row: Row, tokens: Tokens, question: Question, seen: VisionInput
) -> None:
    ids = tokens.encode(question.answer)
    first = row.ids.index(tokens.image)
    boxes = [seen.boxes.index(box) + 1 for box in boxes_in(question.answer)]
    digits = weights(tokens, ids)
    for n, (one, weight) in enumerate(zip(ids, digits, strict=True)):
        is_digit = weight != TEXT and tokens.decode([one]).isdigit()
        if is_digit and seen.owner is not None:
            number = boxes[tokens.decode(list(ids[:n])).count("bbox") - 1]
            cells = first + np.flatnonzero(seen.owner == number)
            row.looking.append((len(row.ids) - 1, cells.tolist()))
        learn(row, (one,), weight)
    learn(row, (tokens.end,), TEXT)
    learn(row, tokens.encode("\n"))


def weights(tokens: Tokens, ids: tuple[int, ...]) -> list[float]:
    """Of the tokens of an answer; each digit is a token."""
    texts = [tokens.decode([one]) for one in ids]
    found = [TEXT] * len(ids)
    inside = False
    for n, (before, text) in enumerate(pairwise(["", *texts])):
        if before == "}" or (before == "[" and not text.isdigit()):
            found[n] = DECIDES
        if inside and before.isdigit() and not text.isdigit():
            found[n] = ENDS
        inside = (text == "[" and texts[n + 1] != "\n") or (inside and text != "]")
        if inside and text.isdigit():
            rest = re.match("[0-9]*", "".join(texts[n:]))
            assert rest
            found[n] = DIGITS[rest.end() - 1]
    return found
