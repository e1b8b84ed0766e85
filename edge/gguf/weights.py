"""Tensors of a GGUF file, dequantised to float32."""

from __future__ import annotations

import mmap
import os
import weakref
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

from edge.errors import SetupError
from edge.gguf.header import Header, Tensor, read_header

Floats = npt.NDArray[np.float32]


class Weights:
    """One file, kept open, so that another one may take its place: a tensor is mapped
    into memory when it is used, and no longer.

    `header` is that of the file, where it has been read already. Raises SetupError when
    the file is not a whole GGUF file.
    """

    def __init__(self, path: Path, header: Header | None = None) -> None:
        self.path = path
        self.header = header or read_header(path)
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def __getitem__(self, name: str) -> Floats:
        """A copy of a tensor, f32, the number of rows first. Raises SetupError when
        the file does not have it."""
        return self.rows(name).reshape(self.shape(name))

    def shape(self, name: str) -> tuple[int, ...]:
        """The number of rows first. Raises SetupError when there is no such tensor."""
        return tuple(int(n) for n in reversed(self._tensor(name).shape))

    def rows(self, name: str, numbers: list[int] | slice = slice(None)) -> Floats:
        """Rows of a tensor by their numbers, or all of them: f32 [n rows, width]."""
        kind = self.kind(name)
        try:
            floats = gguf.quants.dequantize(self.packed_rows(name, numbers), kind)
        except NotImplementedError:
            raise SetupError(
                f"{self.path} holds {name} as {kind.name}, which only llama.cpp reads."
            ) from None
        return np.array(floats, np.float32)

    def kind(self, name: str) -> gguf.GGMLQuantizationType:
        """The type of a tensor's numbers."""
        return gguf.GGMLQuantizationType(self._tensor(name).kind)

    def packed_rows(
        self, name: str, numbers: list[int] | slice = slice(None)
    ) -> npt.NDArray[np.uint8]:
        """Rows of a tensor as they are in the file: u8 [n rows, bytes of a row]."""
        tensor = self._tensor(name)
        block, block_bytes = gguf.GGML_QUANT_SIZES[self.kind(name)]
        before = tensor.start % mmap.ALLOCATIONGRANULARITY
        pages = mmap.mmap(
            self._file,
            before + tensor.n_bytes,
            access=mmap.ACCESS_READ,
            offset=tensor.start - before,
        )
        packed = np.frombuffer(pages, np.uint8, tensor.n_bytes, before)
        return packed.reshape(-1, tensor.shape[0] // block * block_bytes)[numbers]

    def _tensor(self, name: str) -> Tensor:
        if name not in self.header.tensors:
            raise SetupError(f"{self.path} holds no tensor {name}.")
        return self.header.tensors[name]
