"""Q4_K, the type of most weights in a Q4_K_M file: 256 weights in a block of 144 bytes,
eight groups of 32. A weight is scale * number - minimum, both of its group.

Source: `block_q4_K` in llama.cpp's `ggml/src/ggml-common.h`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from gguf.quants import Q4_K

from edge.gguf.weights import Floats

GROUP: Final = 32
_SCALES, _NUMBERS = slice(4, 16), slice(16, 144)  # bytes of a block


class Groups(NamedTuple):
    """Rows of a matrix: numbers from 0 to 15, u8 [n, groups, 32]; scales and minimums
    f32 [n, groups]."""

    numbers: npt.NDArray[np.uint8]
    scale: Floats
    minimum: Floats


def unpack(rows: npt.NDArray[np.uint8]) -> Groups:
    """The contents of rows of blocks, u8 [n, bytes of a row]."""
    blocks = rows.reshape(-1, _NUMBERS.stop)
    scale, minimum = Q4_K.get_scale_min(np.ascontiguousarray(blocks[:, _SCALES]))
    factors = np.ascontiguousarray(blocks[:, : _SCALES.start]).view(np.float16)
    factors = factors.astype(np.float32)
    # 32 bytes hold a group in their lower halves and the next one in their upper ones
    pairs = blocks[:, _NUMBERS].reshape(-1, 4, 1, GROUP)
    numbers = np.concatenate([pairs & 15, pairs >> 4], axis=2)
    return Groups(
        numbers.reshape(len(rows), -1, GROUP),
        (factors[:, :1] * scale).reshape(len(rows), -1),
        (factors[:, 1:] * minimum).reshape(len(rows), -1),
    )
