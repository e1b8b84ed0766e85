"""How an OpenVINO graph multiplies, as data: it needs no inference library.

Which kernels are fastest differs from machine to machine, and is measured there
(`edge/serving/tune.py`). A CPU's features decide only what is tried first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Final, Literal

Hint = Literal["f32", "bf16"]
# u4: `edge/openvino/matrices.py`. f16, of the vision encoder: it multiplies by tiles of
# bf16 without unpacking numbers at each picture, for twice the memory.
WeightsForm = Literal["int8", "u4", "f16", "f32"]

# Activations that share a scale when they are quantized; 0 = they are not quantized.
# On Zen 5 groups of 32 take a quarter longer than of 128, on an AMX Xeon they do not.
GROUPS: Final = (128, 32, 0, 64, 256)
U4_GROUP: Final = 32
INT8_FEATURES: Final = ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
BF16_FEATURES: Final = ("avx512_bf16", "amx_bf16", "bf16")


@dataclass(frozen=True)
class Kernels:
    """`hint`: the type of numbers that are multiplied where nothing is quantized;
    `group`: see GROUPS; `weights`: the form in which matrices are stored."""

    hint: Hint
    group: int
    weights: WeightsForm = "int8"

    def __str__(self) -> str:
        quantized = f", activations in groups of {self.group}" if self.group else ""
        return f"{self.weights} weights, {self.hint}{quantized}"


EXACT: Final = Kernels("f32", 0, "f32")
UNPACKED: Final = Kernels("bf16", 0, "f16")


def likely_kernels(features: Collection[str]) -> Iterator[Kernels]:
    """All kernels for int8 weights, the likely fastest on a CPU with these features
    (`edge.host.FEATURES`) first; the first one is the default."""
    has_int8 = not set(INT8_FEATURES).isdisjoint(features)
    has_bf16 = not set(BF16_FEATURES).isdisjoint(features)
    hints: tuple[Hint, ...] = ("bf16", "f32") if has_bf16 else ("f32", "bf16")
    groups = GROUPS if has_int8 else (0, *(n for n in GROUPS if n))
    # the best group of the other hint comes second
    for group, hint in product(groups, hints):
        yield Kernels(hint, group)


def likely_u4(features: Collection[str]) -> Iterator[Kernels]:
    """The same for the four bits of Q4_K: activations are quantized in groups of
    U4_GROUP like the weights, because the plugin crashes with other numbers."""
    for kernels in likely_kernels(features):
        if kernels.group in (U4_GROUP, 0):
            yield replace(kernels, weights="u4")
