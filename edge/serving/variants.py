"""Ways to compute the language model and the vision encoder, the likely fastest first.

The CPU's features decide the order alone: what is fastest is measured.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from edge import host
from edge.openvino.kernels import (
    EXACT,
    GROUPS,
    INT8_FEATURES,
    UNPACKED,
    Kernels,
    likely_kernels,
    likely_u4,
)
from edge.serving.installed import has_llama
from edge.settings import Settings

Part = Literal["language", "vision"]
# The type of a KV cell that is measured. Two graphs can share only an 8-bit cache;
# llama.cpp's prompts take longer with it.
OPENVINO_KV: Final = "q8_0"
LLAMA_KV: Final = "f16"


@dataclass(frozen=True)
class Variant:
    """One way to compute a part of the model: by OpenVINO with `kernels`, or by
    llama.cpp without. `kv` and `repack` concern the language model only."""

    part: Part
    kernels: Kernels | None
    threads: int
    kv: str = ""
    repack: bool = False

    @property
    def runtime(self) -> str:
        """As in EDGE_RUNTIME."""
        return "openvino" if self.kernels else "llama"

    @property
    def vision(self) -> str:
        """As in EDGE_VISION, of a vision encoder."""
        return self.kernels.weights if self.kernels else "mtmd"

    def __str__(self) -> str:
        words = [f"OpenVINO, {self.kernels}" if self.kernels else "llama.cpp"]
        words += ["repacked"] * self.repack
        words += [f"kv {self.kv}"] * bool(self.kv)
        return ", ".join([*words, f"{self.threads} threads"])

    @classmethod
    def of(cls, found: dict[str, Any]) -> Variant:
        """The inverse of `dataclasses.asdict`. Raises TypeError."""
        kernels = found["kernels"]
        return cls(**found | {"kernels": Kernels(**kernels) if kernels else None})


def language_variants(
    settings: Settings, features: Collection[str]
) -> Iterator[Variant]:
    """Those that `settings` allow. Where the CPU has no instructions for 8-bit integers
    OpenVINO multiplies in f32, and llama.cpp comes first."""
    base = Variant("language", None, threads=host.usable_cores(), kv=LLAMA_KV)
    theirs = [base, replace(base, repack=True)]
    ours = [
        replace(base, kernels=kernels, kv=OPENVINO_KV)
        for kernels in likely_kernels(features)
    ]
    four_bit = [
        replace(base, kernels=kernels, kv=OPENVINO_KV)
        for kernels in likely_u4(features)
    ]
    if _has_int8(features):
        likely = [*ours[:2], *four_bit[:1], *theirs]
    else:
        likely = [*theirs, *ours[:1]]
    if "amx_bf16" in features:  # kernels for steps and for prompts: two graphs
        pair = Kernels("f32", GROUPS[0]), Kernels("bf16", 0)
        likely = [replace(ours[0], kernels=each) for each in pair] + likely
    yield from _allowed([*likely, *ours, *four_bit], settings)


def vision_variants(settings: Settings, features: Collection[str]) -> Iterator[Variant]:
    """The same of the vision encoder."""
    base = Variant("vision", None, threads=host.usable_cores())
    ours = [replace(base, kernels=kernels) for kernels in likely_kernels(features)]
    exact = replace(base, kernels=EXACT)
    unpacked = replace(base, kernels=UNPACKED)
    n = 2 if _has_int8(features) else 1
    likely = [*ours[:n], base, unpacked]
    if "amx_bf16" in features:
        likely = [ours[0], unpacked, *ours[1:n], base]
    yield from _allowed([*likely, exact, *ours[n:]], settings)


def is_allowed(variant: Variant, settings: Settings) -> bool:
    """Whether it is installed, and EDGE_RUNTIME, EDGE_WEIGHTS or EDGE_VISION allow
    it."""
    if not variant.kernels and not has_llama():
        return False
    if variant.part == "language":
        if settings.runtime not in ("auto", variant.runtime):
            return False
        return not variant.kernels or settings.weights in (
            "auto",
            variant.kernels.weights,
        )
    if settings.vision == "f32":  # which is meant to be exact
        return variant.kernels == EXACT
    return settings.vision in ("auto", variant.vision)


def with_given(variant: Variant, settings: Settings) -> Variant:
    """The variant with the threads, and for the language model the type of KV cells and
    the repacking, that the operator has set."""
    if settings.threads:
        variant = replace(variant, threads=settings.threads)
    if variant.part == "language" and settings.kv != "auto":
        variant = replace(variant, kv=settings.kv)
    if variant.runtime == "llama" and "repack" in settings.given:
        variant = replace(variant, repack=settings.repack)
    return variant


def _allowed(variants: list[Variant], settings: Settings) -> Iterator[Variant]:
    allowed = (with_given(v, settings) for v in variants if is_allowed(v, settings))
    yield from dict.fromkeys(allowed)


def _has_int8(features: Collection[str]) -> bool:
    return not set(INT8_FEATURES).isdisjoint(features)
