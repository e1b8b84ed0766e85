"""The fewest tokens of an answer. Pure."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from edge.engine.beside_ends import all_ids, beside
from edge.engine.protocols import Constraint


class MinTokens:
    """A Constraint: `n_min` tokens of a vocabulary of `n_vocab` come before one of
    `ends`, within an `inner` constraint. That one may leave nothing but an end, which
    is allowed then."""

    def __init__(
        self,
        n_min: int,
        ends: Collection[int],
        n_vocab: int,
        inner: Constraint | None = None,
    ) -> None:
        self._n_left = n_min
        self._ends = frozenset(ends)
        self._n_vocab = n_vocab
        self._inner = inner

    def forced(self) -> list[int]:
        return self._inner.forced() if self._inner else []

    def allowed(self) -> npt.NDArray[np.intp]:
        if self._inner is None:
            if self._n_left <= 0:
                return all_ids(self._n_vocab)
            return beside(self._ends, self._n_vocab)
        allowed = self._inner.allowed()
        if self._n_left <= 0:
            return allowed
        others = allowed[~np.isin(allowed, [*self._ends])]
        return others if others.size else allowed

    def allows(self, token: int) -> bool:
        if self._n_left > 0 and token in self._ends:
            return False
        return self._inner is None or self._inner.allows(token)

    def accept(self, token: int) -> None:
        self._n_left -= 1
        if self._inner:
            self._inner.accept(token)
