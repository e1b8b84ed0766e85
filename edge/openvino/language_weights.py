"""The language model's weights and sizes, out of its GGUF file.

Names are those of llama.cpp (`src/llama-arch.cpp`, `src/models/qwen3vl.cpp`).
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from edge.errors import SetupError
from edge.gguf.header import Header
from edge.gguf.weights import Weights

ARCHITECTURE = "qwen3vl"


class TextWeights(Weights):
    """One model file. Raises SetupError when it is not the language model of a dense
    Qwen3-VL."""

    def __init__(self, path: Path, header: Header | None = None) -> None:
        super().__init__(path, header)
        if (found := self.header.architecture) != ARCHITECTURE:
            raise SetupError(f"{path} is a {found} model, not a {ARCHITECTURE}.")

    @cached_property
    def hidden(self) -> int:
        return self._number("embedding_length")

    @cached_property
    def n_layers(self) -> int:
        return self._number("block_count")

    @cached_property
    def n_heads(self) -> int:
        return self._number("attention.head_count")

    @cached_property
    def n_kv_heads(self) -> int:
        return self._number("attention.head_count_kv")

    @cached_property
    def head(self) -> int:
        """The width of one head, of keys and of values."""
        return self._number("attention.key_length")

    @cached_property
    def n_levels(self) -> int:
        """Deepstack levels: one is added after each of the first layers."""
        return self._number("n_deepstack_layers")

    @cached_property
    def head_name(self) -> str:
        """The matrix that gives logits; often that of the token embeddings."""
        has_own = "output.weight" in self.header.tensors
        return "output" if has_own else "token_embd"

    @cached_property
    def matrices(self) -> list[str]:
        """Names of all matrices of layers and head, in the order of the file."""
        return [
            name
            for name, tensor in self.header.tensors.items()
            if name == f"{self.head_name}.weight"
            or (name.startswith("blk.") and len(tensor.shape) == 2)
        ]

    @cached_property
    def epsilon(self) -> float:
        """Of the norms."""
        return float(self._value("attention.layer_norm_rms_epsilon"))

    @cached_property
    def rope_base(self) -> float:
        return float(self._value("rope.freq_base"))

    @cached_property
    def rope_sections(self) -> tuple[int, int, int]:
        """Pairs of a head that are rotated by time, by height and by width."""
        time, height, width = self._value("rope.dimension_sections")[:3]
        return int(time), int(height), int(width)

    def _number(self, name: str) -> int:
        return self.header.number(f"{ARCHITECTURE}.{name}")

    def _value(self, name: str) -> Any:
        value = self.header.get(f"{ARCHITECTURE}.{name}")
        if value is None:
            raise SetupError(f"{self.path} does not say {ARCHITECTURE}.{name}.")
        return value
