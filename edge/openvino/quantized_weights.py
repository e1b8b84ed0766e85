"""The matrices of a language model, quantized for OpenVINO, in one file.

To quantize them takes some twenty seconds, so it is done once; later starts map the
file. It holds the matrices in the order of the GGUF file, each as the arrays of its
form (`edge/openvino/matrices.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from gguf import GGMLQuantizationType as Kind

from edge.errors import SetupError
from edge.openvino.cache_files import atomic_write, cache_path, map_file
from edge.openvino.kernels import WeightsForm
from edge.openvino.language_weights import TextWeights
from edge.openvino.matrices import U4, Array, Form, Int8
from edge.openvino.nodes import Node

log = logging.getLogger(__name__)

REVISION = 2
ROWS_AT_ONCE = 4096  # as float32 all of the embeddings would take 1.2 GB
ALIGNMENT = 64  # bytes


class Place(NamedTuple):
    """Where an array lies in the file."""

    start: int
    dtype: np.dtype[np.generic]
    shape: tuple[int, int]

    @property
    def row_bytes(self) -> int:
        return self.shape[1] * self.dtype.itemsize

    @property
    def stop(self) -> int:
        return self.start + self.shape[0] * self.row_bytes


class QuantizedWeights:
    """The matrices of `weights`; the file is in `folder`.

    In the form `u4`, matrices of type Q4_K keep their four bits; all others, and all in
    the form `int8`, are quantized to eight. Raises SetupError when the file cannot be
    written.
    """

    def __init__(
        self, weights: TextWeights, folder: Path, form: WeightsForm = "int8"
    ) -> None:
        self._forms: dict[str, Form] = {
            name: U4() if _stays_u4(weights, name, form) else Int8()
            for name in weights.matrices
        }
        self._places: dict[str, list[Place]] = {}
        stop = 0
        for name, each in self._forms.items():
            n_rows, width = weights.shape(name)
            self._places[name] = []
            for dtype, length in each.layout(width):
                start = -(-stop // ALIGNMENT) * ALIGNMENT
                place = Place(start, np.dtype(dtype), (n_rows, length))
                self._places[name].append(place)
                stop = place.stop
        path = cache_path(weights.path, folder, f"language-{form}", REVISION)
        try:
            if not path.is_file() or path.stat().st_size != stop:
                self._write(weights, path)
            self.pages = map_file(path)
        except OSError as error:
            raise SetupError(
                f"{path} cannot be written: {error}. It takes {stop / 1e9:.1f} GB."
            ) from error

    def product(self, x: Node, name: str) -> Node:
        """f32 [n, rows of the matrix] of x, f32 [n, width]."""
        return self._forms[name].product(x, *self.arrays(name))

    def arrays(self, name: str) -> Iterator[Array]:
        """Of a matrix, as its form has them: views of `pages`."""
        for start, dtype, shape in self._places[name]:
            flat = np.frombuffer(self.pages, dtype, shape[0] * shape[1], start)
            yield flat.reshape(shape)

    def _write(self, weights: TextWeights, path: Path) -> None:
        log.info("quantizing the weights of %s, only this once", weights.path.name)
        with atomic_write(path) as file:
            for name, form in self._forms.items():
                n_rows, _ = weights.shape(name)
                for begin in range(0, n_rows, ROWS_AT_ONCE):
                    rows = slice(begin, begin + ROWS_AT_ONCE)
                    encoded = form.encode(weights, name, rows)
                    for place, array in zip(self._places[name], encoded, strict=True):
                        file.seek(place.start + begin * place.row_bytes)
                        file.write(array.tobytes())


def _stays_u4(weights: TextWeights, name: str, form: str) -> bool:
    return form == "u4" and weights.kind(name) == Kind.Q4_K
