"""The matrices of a language model, quantized to int8, in one file.

To quantize them takes some twenty seconds, so it is done once; later starts map the
file. It holds the matrices one after the other, in the order of the GGUF file: int8
[rows, width], then one scale for each row, float32.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.errors import SetupError
from edge.gguf.weights import Floats
from edge.openvino.cache_files import atomic_write, cache_path, map_file
from edge.openvino.language_weights import TextWeights
from edge.openvino.nodes import quantize

log = logging.getLogger(__name__)

REVISION = 1
ROWS_AT_ONCE = 4096  # as float32 all of the embeddings would take 1.2 GB


class QuantizedWeights:
    """The matrices of `weights`, quantized; the file is in `folder`.

    Raises SetupError when it cannot be written.
    """

    def __init__(self, weights: TextWeights, folder: Path) -> None:
        self._shapes = {name: weights.shape(name) for name in weights.matrices}
        path = cache_path(weights.path, folder, "language-int8", REVISION)
        n_bytes = sum(map(_n_bytes, self._shapes.values()))
        try:
            if not path.is_file() or path.stat().st_size != n_bytes:
                _quantize(weights, path)
            self.pages = map_file(path)
        except OSError as error:
            raise SetupError(
                f"{path} cannot be written: {error}. It takes {n_bytes / 1e9:.1f} GB."
            ) from error

    def __getitem__(self, name: str) -> tuple[npt.NDArray[np.int8], Floats]:
        """A matrix: int8 [rows, width], a view of `pages`, and scales f32 [rows, 1]."""
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


def _quantize(weights: TextWeights, path: Path) -> None:
    log.info("quantizing the weights of %s, only this once", weights.path.name)
    with atomic_write(path) as file:
        for name in weights.matrices:
            n_rows, _ = weights.shape(name)
            scales = []
            for start in range(0, n_rows, ROWS_AT_ONCE):
                some = weights.rows(name, slice(start, start + ROWS_AT_ONCE))
                numbers, scale = quantize(some)
                file.write(numbers.tobytes())
                scales.append(scale)
            file.write(np.concatenate(scales).tobytes())
