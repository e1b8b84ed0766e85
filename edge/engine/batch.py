"""What one step computes: rows of tokens, or a stretch of one picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Row:
    """One token at one position of one slot; `sampled` asks for the token after it."""

    slot: int
    token: int
    position: int
    sampled: bool = False


@dataclass(frozen=True)
class TokenBatch:
    """Answer tokens of all running sequences, and perhaps a stretch of a prompt."""

    rows: tuple[Row, ...]

    @property
    def n_rows(self) -> int:
        return len(self.rows)

    @property
    def slots(self) -> frozenset[int]:
        return frozenset(row.slot for row in self.rows)


@dataclass(frozen=True, eq=False)
class PictureBatch:
    """A stretch of one picture: embeddings f32 [n, width], positions i32 [4, n]."""

    slot: int
    embeddings: npt.NDArray[np.float32]
    positions: npt.NDArray[np.int32]

    @property
    def n_rows(self) -> int:
        return len(self.embeddings)

    @property
    def slots(self) -> frozenset[int]:
        return frozenset((self.slot,))


Batch = TokenBatch | PictureBatch
