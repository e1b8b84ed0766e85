"""The vision tower's weights and sizes, out of the mmproj GGUF file.

Tensor names are those of llama.cpp (`tools/mtmd/clip-impl.h`). Whatever the file's
quantisation is, weights come out as float32.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from edge.errors import SetupError

Floats = npt.NDArray[np.float32]

KIND = "qwen3vl_merger"


class TowerWeights:
    """One mmproj file, mapped into memory: nothing is read before it is asked for.

    Raises SetupError when it is not the vision part of a Qwen3-VL.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        reader = gguf.GGUFReader(path)
        self._fields = reader.fields
        self._tensors = {tensor.name: tensor for tensor in reader.tensors}
        kind = self._field("clip.projector_type", "clip.vision.projector_type")
        if kind != KIND:
            raise SetupError(f"{path} is a {kind} vision file, not a {KIND}.")

    def __getitem__(self, name: str) -> Floats:
        """A tensor in float32, the number of rows first. Raises SetupError without it.

        A copy: the caller decides how long it lives.
        """
        if name not in self._tensors:
            raise SetupError(f"{self.path} holds no tensor {name}.")
        tensor = self._tensors[name]
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        shape = [int(n) for n in reversed(tensor.shape)]
        return np.array(values, np.float32).reshape(shape)

    @cached_property
    def hidden(self) -> int:
        return int(self._field("clip.vision.embedding_length"))

    @cached_property
    def n_blocks(self) -> int:
        return int(self._field("clip.vision.block_count"))

    @cached_property
    def n_heads(self) -> int:
        return int(self._field("clip.vision.attention.head_count"))

    @cached_property
    def epsilon(self) -> float:
        """Of the layer norms."""
        return float(self._field("clip.vision.attention.layer_norm_epsilon"))

    @cached_property
    def deepstack(self) -> tuple[int, ...]:
        """The blocks whose output also goes to the language model."""
        is_one = self._field("clip.vision.is_deepstack_layers")
        return tuple(n for n, yes in enumerate(is_one) if yes)

    def _field(self, *names: str) -> Any:
        for name in names:
            if name in self._fields:
                return self._fields[name].contents()
        raise SetupError(f"{self.path} does not say {names[0]}.")
