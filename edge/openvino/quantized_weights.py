"""The matrices of a language model as whole numbers of eight bits, in one file.

To round them takes some twenty seconds, so it is done once; from then on a start maps
the file. One after the other, in the order of the GGUF file: the numbers of a matrix,
int8 [rows, width], and the scales of its rows, float32.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.errors import SetupError
from edge.gguf.weights import Floats
from edge.openvino.compiled import atomic_write, cache_path, map_file
from edge.openvino.language_weights import TextWeights
from edge.openvino.nodes import quantize

log = logging.getLogger(__name__)

REVISION = 1
STRETCH = 4096  # rows that are expanded at once: all of the embeddings take 1.2 GB


class QuantizedWeights:
    """What is multiplied with in `weights`, quantized into `folder`.

    Raises SetupError when the file cannot be written.
    """

    def __init__(self, weights: TextWeights, folder: Path) -> None:
        self._shapes = {name: weights.shape(name) for name in weights.matrices}
        path = cache_path(weights.path, folder, "language-int8", REVISION)
        n_bytes = sum(map(_n_bytes, self._shapes.values()))
        try:
            if not path.is_file() or path.stat().st_size != n_bytes:
                _pack(weights, path)
            self.pages = map_file(path)
        except OSError as error:
            raise SetupError(
                f"{path} cannot be kept: {error}. It takes {n_bytes / 1e9:.1f} GB."
            ) from error

    def __getitem__(self, name: str) -> tuple[npt.NDArray[np.int8], Floats]:
        """Numbers, which lie in `pages`, and a copy of the scales, f32 [rows, 1]."""
        names = list(self._shapes)
        before = names[: names.index(name)]
        start = sum(_n_bytes(self._shapes[each]) for each in before)
        n_rows, width = self._shapes[name]
        numbers = np.frombuffer(self.pages, np.int8, n_rows * width, start)
        scales = np.frombuffer(self.pages, np.uint8, 4 * n_rows, start + numbers.size)
        scale = scales.copy().view(np.float32)
        return numbers.reshape(n_rows, width), scale.reshape(n_rows, 1)


def _n_bytes(shape: tuple[int, ...]) -> int:
    n_rows, width = shape
    return n_rows * width + 4 * n_rows


def _pack(weights: TextWeights, path: Path) -> None:
    log.info("rounding the weights of %s, only this once", weights.path.name)
    with atomic_write(path) as file:
        for name in weights.matrices:
            n_rows, _ = weights.shape(name)
            scales = []
            for start in range(0, n_rows, STRETCH):
                some = weights.rows(name, slice(start, start + STRETCH))
                numbers, scale = quantize(some)
                file.write(numbers.tobytes())
                scales.append(scale)
            file.write(np.concatenate(scales).tobytes())
