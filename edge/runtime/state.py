"""Cells as llama.cpp writes and reads the state of one sequence.

Source: `llama_kv_cache::state_write` and `state_read` (`src/llama-kv-cache.cpp`) of the
version that is pinned, for a unified cache with flash attention.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llama_cpp import llama_cpp as lib

from edge.engine.batch import Cells

_MAGIC = 0xAF143CD8
# Of each cell: its position, in how many sequences it is, where in its picture and
# which token, and in which sequence: not read, because the caller names one.
_CELL = np.dtype(
    [(name, np.int32) for name in ("at", "n_seqs", "x", "y", "token", "seq")]
)
_LAYER = np.dtype([("kind", np.int32), ("row_bytes", np.uint64)])


def state_of(cells: Cells) -> npt.NDArray[np.uint8]:
    """The bytes that make a sequence of these cells."""
    parts = (np.ascontiguousarray(part) for part in _parts(cells))
    return np.concatenate([part.view(np.uint8).reshape(-1) for part in parts])


def _parts(cells: Cells) -> list[npt.NDArray[Any]]:
    in_order = np.zeros(len(cells), _CELL)
    in_order["at"], in_order["y"], in_order["x"], _ = cells.positions
    in_order["n_seqs"] = 1
    in_order["token"] = cells.tokens
    keys, values = cells.kept[::2], cells.kept[1::2]
    n_streams, is_turned = 1, 0
    parts: list[npt.NDArray[Any]] = [
        np.array([_MAGIC, 0, n_streams, len(cells)], np.uint32),
        in_order,
        np.array([is_turned, len(keys)], np.uint32),
    ]
    for rows in (*keys, *values):
        parts += [np.array([(lib.GGML_TYPE_F16, rows[0].nbytes)], _LAYER), rows]
    return parts
