"""The vision encoder's weights and sizes, out of the mmproj GGUF file.

Tensor names are those of llama.cpp (`tools/mtmd/clip-impl.h`).
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from edge.errors import SetupError
from edge.gguf.header import Header
from edge.gguf.weights import Weights

KIND = "qwen3vl_merger"


class TowerWeights(Weights):
    """One mmproj file. Raises SetupError when it is not the vision part of a
    Qwen3-VL."""

    def __init__(self, path: Path, header: Header | None = None) -> None:
        super().__init__(path, header)
        kind = self._field("clip.projector_type", "clip.vision.projector_type")
        if kind != KIND:
            raise SetupError(f"{path} is a {kind} vision file, not a {KIND}.")

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
        """Indices of the blocks whose output also goes to the language model."""
        is_one = self._field("clip.vision.is_deepstack_layers")
        return tuple(n for n, yes in enumerate(is_one) if yes)

    @cached_property
    def width(self) -> int:
        """Numbers of one embedding: the final one and those of deepstack."""
        return int(self["mm.2.bias"].size) * (1 + len(self.deepstack))

    def _field(self, *names: str) -> Any:
        for name in names:
            if (value := self.header.get(name)) is not None:
                return value
        raise SetupError(f"{self.path} does not say {names[0]}.")
