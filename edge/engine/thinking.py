"""The end of thoughts, after which an answer keeps to its form. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from edge.engine.beside_ends import all_ids, beside
from edge.engine.protocols import Constraint


class Thinking:
    """A Constraint on an answer that begins with thoughts: any tokens but `ends`, of a
    vocabulary of `n_vocab`, up to the tokens `close`, which are forced after `budget`
    tokens of thoughts (None: never). The `inner` constraint is for what follows."""

    def __init__(
        self,
        close: Sequence[int],
        budget: int | None,
        ends: Collection[int],
        n_vocab: int,
        inner: Constraint | None = None,
    ) -> None:
        self._close = [*close]
        self._n_left = budget
        self._ends = frozenset(ends)
        self._n_vocab = n_vocab
        self._inner = inner
        self._latest: list[int] = []  # as many as `close`
        self._forced: list[int] = []
        self._is_over = False

    def forced(self) -> list[int]:
        if self._is_over:
            return self._inner.forced() if self._inner else []
        if self._n_left == 0 and not self._forced:
            self._forced = [*self._close]
        return self._forced

    def allowed(self) -> npt.NDArray[np.intp]:
        if self._is_over:
            return self._inner.allowed() if self._inner else all_ids(self._n_vocab)
        if forced := self.forced():
            return np.array(forced[:1], np.intp)
        return beside(self._ends, self._n_vocab)

    def allows(self, token: int) -> bool:
        if self._is_over:
            return self._inner is None or self._inner.allows(token)
        if forced := self.forced():
            return token == forced[0]
        return token not in self._ends

    def accept(self, token: int) -> None:
        if self._is_over:
            if self._inner:
                self._inner.accept(token)
            return
        self._forced = self._forced[1:]
        if self._n_left:
            self._n_left -= 1
        self._latest = [*self._latest, token][-len(self._close) :]
        self._is_over = self._latest == self._close
