"""What a prompt puts into each cell, and where: its batches taken together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge.engine.batch import PICTURE, Batch, PictureBatch


def tokens_of(prompt: Sequence[Batch]) -> npt.NDArray[np.int32]:
    """i32 [n]; PICTURE for those of a picture."""
    tokens = (
        [PICTURE] * batch.n_rows
        if isinstance(batch, PictureBatch)
        else [row.token for row in batch.rows]
        for batch in prompt
    )
    return np.array([token for part in tokens for token in part], np.int32)


def positions_of(prompt: Sequence[Batch]) -> npt.NDArray[np.int32]:
    """i32 [4, n]: time, height, width and nothing. Text moves on all three together."""
    return np.concatenate([_positions(batch) for batch in prompt], axis=1)


def _positions(batch: Batch) -> npt.NDArray[np.int32]:
    if isinstance(batch, PictureBatch):
        return batch.positions
    at = [row.position for row in batch.rows]
    return np.array([at, at, at, [0] * len(at)], np.int32)
