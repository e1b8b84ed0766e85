"""Which rows of a step are sampled: those of the right guesses, and the one behind.

Each token is sampled as without guesses, from the logits behind equal tokens. So
penalties, constraints and random numbers see only what becomes part of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from edge.engine.step import Chosen, Row, Sampled, TextSpan
from edge.errors import EngineError

# Chooses what follows in a slot by its logits.
Choose = Callable[[int, npt.NDArray[np.float32]], Chosen | EngineError]


def sample_rows(rows: Iterable[Row], choose: Choose) -> list[Sampled]:
    """The result of each slot; `rows` are all wanted ones, those of a slot in order."""
    states: list[Sampled] = []
    found: dict[int, Chosen | EngineError] = {}
    due: dict[int, int] = {}  # of each slot, the one index where it may go on
    for row in rows:
        span, slot = row.span, row.span.slot
        if isinstance(span, TextSpan) and span.reads_state:
            states.append(_read(slot, row.state))
            continue
        if due.get(slot, row.index) != row.index:
            continue
        chosen = choose(slot, row.logits)
        before = found.get(slot, Chosen(()))
        if isinstance(chosen, EngineError) or isinstance(before, EngineError):
            found[slot], due[slot] = chosen, -1
            continue
        found[slot] = before + chosen
        begin, end = row.index + 1, row.index + 1 + len(chosen.tokens)
        is_right = (
            isinstance(span, TextSpan) and span.tokens[begin:end] == chosen.tokens
        )
        due[slot] = end - 1 if is_right else -1
    return states + [
        Sampled(slot, each)
        if isinstance(each, EngineError)
        else Sampled(slot, each.tokens, each.logprobs)
        for slot, each in found.items()
    ]


def _read(slot: int, state: npt.NDArray[np.float32]) -> Sampled:
    if not np.isfinite(state).all():
        return Sampled(slot, EngineError("The model gave no usable state. Try again."))
    return Sampled(slot, (), state=state.copy())
