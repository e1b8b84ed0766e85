"""The guard against answers that repeat themselves.

Small models that always choose the likeliest token sometimes repeat one sentence up to
`max_tokens`. Such an answer is useless, and other questions wait for its slot.
"""

from __future__ import annotations

LONGEST_BLOCK = 64  # tokens
FEWEST_TIMES = 4
FEWEST_TOKENS = 160  # of repetition; rows of a table are often alike


def is_stuck(tokens: list[int]) -> bool:
    """Whether an answer ends with one block of tokens repeated too often."""
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
