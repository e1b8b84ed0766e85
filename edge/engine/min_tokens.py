"""The fewest tokens of an answer. Pure."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

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
        self._ends = np.array(sorted(ends), np.intp)
        self._all = np.arange(n_vocab)
        self._inner = inner

    def forced(self) -> list[int]:
        return self._inner.forced() if self._inner else []

    def allowed(self) -> npt.NDArray[np.intp]:
        allowed = self._inner.allowed() if self._inner else self._all
        if self._n_left <= 0:
            return allowed
        others = np.setdiff1d(allowed, self._ends, assume_unique=True)
        return others if others.size else allowed

    def allows(self, token: int) -> bool:
        if self._n_left > 0 and token in self._ends:
            return False
        return self._inner is None or self._inner.allows(token)

    def accept(self, token: int) -> None:
        self._n_left -= 1
        if self._inner:
            self._inner.accept(token)
