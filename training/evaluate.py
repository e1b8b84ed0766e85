"""How many questions of an examination the model in training answers right.

Greedy decoding gives the expected answer exactly if every token of it is the likeliest
after those before it: one pass over the whole answer tells, without decoding.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch

from training.examination import Item
from training.rows import IGNORED, Batch, Row, collate, see, turn
from training.tokens import Tokens


def as_batches(tokens: Tokens, items: list[Item], size: int = 32) -> list[Batch]:
    rows = []
    for item in items:
        row = Row()
        turn(row, tokens, item.question, see(item.scene, item.picture))
        rows.append(row)
    return [collate(rows[i : i + size]) for i in range(0, len(rows), size)]


@torch.no_grad()
def teacher_forced(forward: Any, model: Any, batches: list[Batch]) -> list[bool]:
    """For each question whether its answer comes out exactly."""
    right: list[bool] = []
    for batch in batches:
        best = model.lm_head(forward(model, batch)[0]).argmax(-1)
        labels = torch.from_numpy(batch.labels)
        right += ((best == labels) | (labels == IGNORED)).all(1).tolist()
    return right


def by_kind(items: list[Item], right: list[bool]) -> dict[str, float]:
    """The share of right answers for each kind, 0 to 1."""
    marks = defaultdict(list)
    for item, mark in zip(items, right, strict=True):
        marks[item.question.kind].append(mark)
    return {kind: sum(all_) / len(all_) for kind, all_ in marks.items()}
