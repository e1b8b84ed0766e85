"""Which tokens may be drawn: top-k, top-p, min-p; and the draw. Pure functions.

Their numbers are those of llama.cpp (`src/llama-sampler.cpp`): in float32, summed in
the same order. Only what may be drawn is sorted, not the vocabulary.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Logits = npt.NDArray[np.float32]
Ids = npt.NDArray[np.intp]

FIRST_SORTED: Final = 256  # tokens; top-p seldom needs more
MORE_SORTED: Final = 8  # times as many, if it does


def largest(values: Logits, k: int) -> Ids:
    """Indices of the `k` largest values, in descending order; of equal ones the first
    comes first."""
    n = len(values)
    found = np.arange(n)
    if k < n:
        found = np.flatnonzero(values >= np.partition(values, n - k)[n - k])
    return found[np.argsort(-values[found], kind="stable")][:k]


def top_p(logits: Logits, p: float, is_sorted: bool) -> Ids:
    """Indices of the likeliest tokens that have the probability `p` together, in
    descending order; `is_sorted` says that `logits` are."""
    weights = exponentials(logits)
    weights /= np.cumsum(weights)[-1]
    n, k = len(logits), FIRST_SORTED
    while True:
        order = np.arange(n) if is_sorted else largest(logits, k)
        [enough] = np.nonzero(np.cumsum(weights[order]) >= np.float32(p))
        if enough.size:
            return order[: enough[0] + 1]
        if len(order) == n:  # rounding: together they have less
            return order
        k *= MORE_SORTED


def min_p(logits: Logits, p: float) -> Ids:
    """Indices of the tokens that are at least `p` times as likely as the likeliest."""
    least = logits.max() + np.float32(np.log(np.float64(np.float32(p))))
    return np.flatnonzero(logits >= least)


def draw(logits: Logits, random: float) -> int:
    """The index that `random`, from 0 to 1, falls on in the sum of probabilities."""
    sums = np.cumsum(exponentials(logits), dtype=np.float64)
    return int(np.searchsorted(sums, sums[-1] * random))


def exponentials(logits: Logits) -> Logits:
    """Of the distances to the largest logit, rounded from float64 as C's `expf` is."""
    distances = (logits - logits.max()).astype(np.float64)
    weights: Logits = np.exp(distances).astype(np.float32)
    return weights
