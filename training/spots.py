"""Where a language model writes the digits of boxes, and what its parts read there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch

from edge.qwen3vl.grounding import SCALE
from training import fonts
from training.batch import Batch
from training.conversations import Conversations
from training.model import forward
from training.tokens import Tokens
from training.waves import waves

READ: Final = (1, 2, 3)  # of TURNS: those that show hundreds and tens
N_WAVES: Final = 2 * len(READ)  # of an edge
FIRST_BATCH: Final = 9000  # longer than any run
# Number of the edge, of the digit, and whether the digit before is odd; -1 if there
# is none.
Context = tuple[int, int, int]


@dataclass(frozen=True)
class Digit:
    """One that is written after token `at` of a row."""

    row: int
    at: int
    box: tuple[int, ...]  # all four edges, in thousandths
    context: Context
    value: int


def digits_of(tokens: Tokens, batch: Batch) -> Iterator[Digit]:
    """The first two digits of each edge of each box."""
    for row, ids in enumerate(batch.texts[-1].ids):
        texts = [tokens.decode([int(one)]) for one in ids]
        starts = np.cumsum([0, *map(len, texts)])
        for found in re.finditer(r"\[(\d+), (\d+), (\d+), (\d+)\]", "".join(texts)):
            box = tuple(map(int, found.groups()))
            for edge, number in enumerate(found.groups()):
                first = int(np.searchsorted(starts, found.start(edge + 1)))
                for nth, digit in enumerate(number[:2]):
                    parity = int(number[0]) % 2 if nth else -1
                    context = (edge, nth, parity)
                    yield Digit(row, first + nth - 1, box, context, int(digit))


def read_waves(places: torch.Tensor) -> torch.Tensor:
    """Those of the turns READ of [..., 4] places, as [..., 4 * N_WAVES]."""
    return waves(places).unflatten(-1, (4, 2, -1))[..., list(READ)].flatten(-3)


def solve(x: torch.Tensor, y: torch.Tensor, ridge: float) -> torch.Tensor:
    """The product with `x` that is nearest to `y`."""
    return torch.linalg.solve(x.T @ x + ridge * torch.eye(x.shape[1]).double(), x.T @ y)


@torch.no_grad()
def seen_by(model: Any, batches: list[Batch], *modules: Any) -> list[list[list[Any]]]:
    """What each module reads: by module, batch and group of rows, f64."""
    found: list[list[list[Any]]] = [[[] for _ in batches] for _ in modules]
    for n, batch in enumerate(batches):
        hooks = []
        for kept, module in zip(found, modules, strict=True):

            def keep(_: Any, args: Any, kwargs: Any, to: Any = kept[n]) -> None:
                to.append((args[0] if args else kwargs["hidden_states"]).double())

            hooks.append(module.register_forward_pre_hook(keep, with_kwargs=True))
        # A new block each time: it keeps copies of weights, which change between.
        with torch.autocast("cpu", dtype=torch.bfloat16):
            forward(model, batch)
        for hook in hooks:
            hook.remove()
    return found


def cells_of(
    tokens: Tokens, batches: list[Batch], states: list[list[Any]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The states of the cells of each object that is located, as `seen_by` gives them,
    and its waves: [cells, hidden] and [cells, 4 * N_WAVES]."""
    x, y = [], []
    for batch, groups in zip(batches, states, strict=True):
        rows = batch.texts[-1]
        looking = {(int(r), int(at)): n for n, (r, at) in enumerate(rows.looking)}
        for digit in digits_of(tokens, batch):
            if digit.context[:2] == (0, 0) and (digit.row, digit.at) in looking:
                here = torch.as_tensor(rows.objects[looking[digit.row, digit.at]])
                x.append(groups[-1][digit.row, here])
                right = read_waves(torch.tensor(digit.box) / SCALE).double()
                y.append(right.expand(len(x[-1]), -1))
    return torch.cat(x), torch.cat(y)


def unseen(tokens: Tokens, n: int) -> list[Batch]:
    """Batches with pictures that no run has seen."""
    made = Conversations(tokens, fonts.training_fonts(), seed=1, size=3, boxes=12)
    return [made.batch(FIRST_BATCH + k) for k in range(n)]
