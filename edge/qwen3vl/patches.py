"""Positions of patches in a picture: interpolated embeddings and angles of rotation.

Source: `Qwen3VLVisionModel` in Hugging Face Transformers: `fast_pos_embed_interpolate`
and `rot_pos_emb`. Patches come in the order of `edge.qwen3vl.preprocess.patches`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

ROPE_BASE = 10_000.0


def merge_order(patches: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """[2 * rows, 2 * columns, width] in reading order to [n_patches, width], the 2 x 2
    patches of each image token together."""
    height, width, depth = patches.shape
    blocks = patches.reshape(height // 2, 2, width // 2, 2, depth)
    return blocks.transpose(0, 2, 1, 3, 4).reshape(-1, depth)


def interpolate_pos_embed(table: Floats, rows: int, columns: int) -> Floats:
    """Position embeddings f32 [n_patches, width] of `rows` x `columns` image tokens:
    the learned `table`, [side * side, width], stretched over the picture bilinearly,
    corner on corner."""
    side = math.isqrt(len(table))
    square = table.reshape(side, side, -1)
    low, high, share = _neighbours(side, 2 * rows)
    lines = square[low] * (1 - share[:, None]) + square[high] * share[:, None]
    low, high, share = _neighbours(side, 2 * columns)
    return merge_order(lines[:, low] * (1 - share) + lines[:, high] * share)


class _Neighbours(NamedTuple):
    """For points along a side of the table: the entries around each, and how far it is
    from the first to the second, f32 [n, 1]."""

    low: npt.NDArray[np.intp]
    high: npt.NDArray[np.intp]
    share: Floats


def _neighbours(side: int, n: int) -> _Neighbours:
    at = np.linspace(0, side - 1, n, dtype=np.float32)
    low = at.astype(np.intp)
    share = (at - low).astype(np.float32)
    return _Neighbours(low, np.minimum(low + 1, side - 1), share[:, None])


def rope_angles(rows: int, columns: int, head_width: int) -> tuple[Floats, Floats]:
    """Cosines and sines f32 [n_patches, 1, head_width / 2] for `rows` x `columns` image
    tokens: the first half of the angles grows with the row, the second with the column.
    """
    quarter = head_width // 4
    frequency = ROPE_BASE ** -(np.arange(quarter) / quarter)
    row, column = np.indices((2 * rows, 2 * columns))[..., None] * frequency
    angle = merge_order(np.concatenate([row, column], axis=-1))[:, None]
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
