"""The guard against answers that go round in circles.

Small models that always take the likeliest token sometimes repeat one sentence until
they may not go on. Nobody reads that, and others wait for the slot.
"""

from __future__ import annotations

LONGEST_BLOCK = 64  # tokens
FEWEST_TIMES = 4
FEWEST_TOKENS = 160  # of repetition; rows of a table may well be alike


def is_stuck(tokens: list[int]) -> bool:
    """Whether an answer ends with the same block again and again."""
    for block in range(1, LONGEST_BLOCK + 1):
        n = max(FEWEST_TOKENS, FEWEST_TIMES * block)
        if n > len(tokens):
            return False
        if (
            tokens[-1] == tokens[-1 - block]
            and tokens[block - n :] == tokens[-n:-block]
        ):
            return True
    return False
