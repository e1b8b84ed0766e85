"""M-RoPE: by which angles the queries and keys of each token are turned.

Source: Qwen3-VL's interleaved form as llama.cpp computes it (`ggml_mrope_cache_init`
with `is_imrope`): pairs take turns between time, height and width. Those that are left
over turn with the fourth axis, which always stands at nought.
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
    """Cosines and sines, f32 [n, 1, head / 2], of tokens at `positions`, i32 [4, n]."""
    pair = np.arange(head // 2)
    axis = np.where(pair < 3 * np.array(sections)[pair % 3], pair % 3, 3)
    speed = base ** (-2 * pair / head)
    angle = (positions[axis].T * speed)[:, None]
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
