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
        self._may_follow = np.ones(n_vocab, np.bool_)  # before the fewest tokens
        self._may_follow[list(ends)] = False
        self._all = np.arange(n_vocab)
        self._others = np.flatnonzero(self._may_follow)
        self._inner = inner

    def forced(self) -> list[int]:
        return self._inner.forced() if self._inner else []

    def allowed(self) -> npt.NDArray[np.intp]:
        if self._inner is None:
            return self._others if self._n_left > 0 else self._all
        allowed = self._inner.allowed()
        if self._n_left <= 0:
            return allowed
        others = allowed[self._may_follow[allowed]]
        return others if others.size else allowed

    def allows(self, token: int) -> bool:
        if self._n_left > 0 and not self._may_follow[token]:
            return False
        return self._inner is None or self._inner.allows(token)

    def accept(self, token: int) -> None:
        self._n_left -= 1
        if self._inner:
            self._inner.accept(token)
