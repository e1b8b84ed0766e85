"""The accuracy of a model during training.

Greedy decoding gives the expected answer exactly if each of its tokens is the most
likely one after the previous tokens: one pass over the whole answer checks that.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch

from training.batch import Batch, collate
from training.examination import Item
from training.marking import is_right
from training.rows import IGNORED, Row, answer_turn, prompt, to_vision_input
from training.tokens import Tokens


def as_batches(tokens: Tokens, items: list[Item], size: int = 32) -> list[Batch]:
    rows = []
    for item in items:
        row = Row()
        seen = {p.ref: to_vision_input(item.scene, p) for p in item.pictures}
        prompt(row, tokens, item.messages, seen)
        answer_turn(row, tokens, item.question, item.scene)
        rows.append(row)
    return [collate(rows[i : i + size]) for i in range(0, len(rows), size)]


@torch.no_grad()
def teacher_forced(
    forward: Any, model: Any, tokens: Tokens, batches: list[Batch]
) -> list[str]:
    """For each question, the most likely token after each part of the answer."""
    texts: list[str] = []
    for batch in batches:
        (hidden,) = forward(model, batch).last
        best = model.lm_head(hidden).argmax(-1)
        answers = torch.from_numpy(batch.texts[0].labels) != IGNORED
        texts += (
            tokens.decode(one[here].tolist()).removesuffix("<|im_end|>")
            for one, here in zip(best, answers, strict=True)
        )
    return texts


def by_kind(items: list[Item], texts: list[str]) -> dict[str, float]:
    """The share of correct answers for each kind, 0 to 1."""
    marks = defaultdict(list)
    for item, text in zip(items, texts, strict=True):
        marks[item.question.kind].append(is_right(item.question, text))
    return {kind: sum(all_) / len(all_) for kind, all_ in marks.items()}
