"""M-RoPE positions: where tokens sit in time, height and width.

Source: Qwen2-VL (arXiv:2409.12191, section 2.1), unchanged in Qwen3-VL. Text advances
all axes together; a picture stands still in time and spreads over rows and columns.
All results are int32 [4, n tokens]: time, height, width and an unused zero, the layout
that llama.cpp expects for a batch of embeddings.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int32]


def text_positions(start: int, n_tokens: int) -> Positions:
    """Positions of `n_tokens` consecutive tokens of text, the first one at `start`."""
    at = np.arange(start, start + n_tokens, dtype=np.int32)
    return np.stack([at, at, at, np.zeros_like(at)])


def picture_positions(start: int, rows: int, columns: int) -> Positions:
    """Positions of a picture's tokens in reading order, where it begins at `start`."""
    row, column = np.divmod(np.arange(rows * columns, dtype=np.int32), columns)
    time = np.full_like(row, start)
    return np.stack([time, start + row, start + column, np.zeros_like(row)])


def picture_advance(rows: int, columns: int) -> int:
    """By how much a picture advances the position: less than its token count."""
    return max(rows, columns)
