"""M-RoPE: the angles by which queries and keys of the language model are rotated.

Source: Qwen3-VL's interleaved form as llama.cpp computes it (`ggml_mrope_cache_init`
with `is_imrope`): pairs alternate between time, height and width. The remaining pairs
belong to the fourth axis, which is always zero: they are not rotated.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def rope_angles(
    positions: npt.NDArray[np.int32],
    head: int,
    sections: tuple[int, int, int],
    base: float,
) -> tuple[Floats, Floats]:
    """Cosines and sines f32 [n, 1, head / 2] of tokens at `positions`, i32 [4, n];
    `head` is the width of a head, `sections` its pairs for time, height and width."""
    pair = np.arange(head // 2)
    axis = np.where(pair < 3 * np.array(sections)[pair % 3], pair % 3, 3)
    frequency = base ** (-2 * pair / head)
    angle = (positions[axis].T * frequency)[:, None]
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
