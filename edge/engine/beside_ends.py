"""The tokens of a vocabulary that do not end an answer. Pure."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.intp]


@lru_cache(maxsize=2)
def all_ids(n_vocab: int) -> Ids:
    """[n_vocab], shared: not to be written."""
    return np.arange(n_vocab)


@lru_cache(maxsize=8)
def beside(ends: frozenset[int], n_vocab: int) -> Ids:
    """All but `ends`, ascending; shared: a megabyte for 151,936 tokens, which every
    waiting question would hold."""
    return np.delete(all_ids(n_vocab), [*ends])
