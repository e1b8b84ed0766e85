"""Where patches sit inside a picture: what the tower adds for it, and how it turns.

Source: `Qwen3VLVisionModel` in Hugging Face Transformers: `fast_pos_embed_interpolate`
and `rot_pos_emb`. Patches come in the order of `edge.qwen3vl.preprocess.patches`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

ROTARY_BASE = 10_000.0


def merge_order(patches: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """[2 * rows, 2 * columns, width] in reading order to [n_patches, width] in the
    order of cells."""
    height, width, depth = patches.shape
    cells = patches.reshape(height // 2, 2, width // 2, 2, depth)
    return cells.transpose(0, 2, 1, 3, 4).reshape(-1, depth)


def interpolate_pos_embed(table: Floats, rows: int, columns: int) -> Floats:
    """The learnt position of each patch of `rows` x `columns` cells, f32 [n_patches,
    width]: `table`, [side * side, width], stretched over the picture, corner on corner.
    """
    side = math.isqrt(len(table))
    square = table.reshape(side, side, -1)
    low, high, share = _between(side, 2 * rows)
    lines = square[low] * (1 - share[:, None]) + square[high] * share[:, None]
    low, high, share = _between(side, 2 * columns)
    return merge_order(lines[:, low] * (1 - share) + lines[:, high] * share)


def _between(
    side: int, n: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Floats]:
    """For `n` places along `side` entries: the entries around each, and how far it is
    from the first to the second, f32 [n, 1]."""
    at = np.linspace(0, side - 1, n, dtype=np.float32)
    low = at.astype(np.intp)
    share = (at - low).astype(np.float32)
    return low, np.minimum(low + 1, side - 1), share[:, None]


def rope_angles(rows: int, columns: int, head_width: int) -> tuple[Floats, Floats]:
    """Cosines and sines, f32 [n_patches, 1, head_width / 2], by which queries and keys
    are turned: the first half of the angles grows with the row, the second with the
    column."""
    quarter = head_width // 4
    speed = ROTARY_BASE ** -(np.arange(quarter) / quarter)
    row, column = np.indices((2 * rows, 2 * columns))[..., None] * speed
    angle = merge_order(np.concatenate([row, column], axis=-1))[:, None]
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
