"""Log probabilities by the model's own distribution: at temperature 1, before biases,
penalties, filters and constraints. Pure."""

from __future__ import annotations

import numpy as np

from edge.engine.step import Logprobs
from edge.sampling.filters import Logits, largest

DIGITS = 6  # behind the point; more are noise, and bytes on the wire


def logprobs(logits: Logits, token: int, n_likeliest: int) -> Logprobs:
    """Of `token`, and of the `n_likeliest` tokens, by logits f32 [vocabulary]."""
    usable = np.where(np.isfinite(logits), logits, -np.inf)
    most = usable.max()
    total = most + np.log(np.exp(usable - most, dtype=np.float64).sum())

    def of(each: int) -> float:
        return round(float(usable[each] - total), DIGITS)

    order = largest(usable, n_likeliest).tolist() if n_likeliest else []
    likeliest = [(each, of(each)) for each in order if np.isfinite(usable[each])]
    return Logprobs(of(token), tuple(likeliest))
