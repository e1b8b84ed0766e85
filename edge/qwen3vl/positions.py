"""M-RoPE positions: where a picture's tokens sit in time, height and width.

Source: Qwen2-VL (arXiv:2409.12191, section 2.1), unchanged in Qwen3-VL. Text advances
all axes together; a picture stands still in time and spreads over rows and columns.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def picture_positions(start: int, rows: int, columns: int) -> npt.NDArray[np.int32]:
    """Positions of a picture's tokens, int32 [4, rows * columns], reading order.

    The rows of the result are time, height, width and an unused zero, the layout that
    llama.cpp wants for a batch of embeddings.
    """
    row, column = np.divmod(np.arange(rows * columns, dtype=np.int32), columns)
    time = np.full_like(row, start)
    return np.stack([time, start + row, start + column, np.zeros_like(row)])


def picture_advance(rows: int, columns: int) -> int:
    """How far the position moves on past a picture: less than its token count."""
    return max(rows, columns)
