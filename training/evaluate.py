"""The accuracy of a model during training.

Greedy decoding gives the expected answer exactly if each of its tokens is the most
likely one after the previous tokens: one pass over the whole answer checks that.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch

from training.examination import Item
from training.rows import IGNORED, Batch, Row, collate, to_vision_input, turn
from training.tokens import Tokens


def as_batches(tokens: Tokens, items: list[Item], size: int = 32) -> list[Batch]:
    rows = []
    for item in items:
        row = Row()
        turn(row, tokens, item.question, to_vision_input(item.scene, item.picture))
        rows.append(row)
    return [collate(rows[i : i + size]) for i in range(0, len(rows), size)]


@torch.no_grad()
def teacher_forced(forward: Any, model: Any, batches: list[Batch]) -> list[bool]:
    """For each question, whether greedy decoding gives the exact answer."""
    right: list[bool] = []
    for batch in batches:
        best = model.lm_head(forward(model, batch)[0]).argmax(-1)
        labels = torch.from_numpy(batch.labels)
        right += ((best == labels) | (labels == IGNORED)).all(1).tolist()
    return right


def by_kind(items: list[Item], right: list[bool]) -> dict[str, float]:
    """The share of correct answers for each kind, 0 to 1."""
    marks = defaultdict(list)
    for item, mark in zip(items, right, strict=True):
        marks[item.question.kind].append(mark)
    return {kind: sum(all_) / len(all_) for kind, all_ in marks.items()}
