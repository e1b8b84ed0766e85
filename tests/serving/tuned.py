"""A machine that was measured before."""

from __future__ import annotations

from edge import host
from edge.models.registry import ModelFiles
from edge.openvino.kernels import Kernels
from edge.serving.choice import Measured
from edge.serving.tuning import Tuning, restrictions, save, this_machine
from edge.serving.variants import Part, Variant
from edge.settings import Settings

ROWS = (1, 4, 16, 64, 256)
PICTURES = (118, 475)


def language(
    kernels: Kernels | None, ms: list[float], kv: str = "q8_0", problem: str = ""
) -> Measured:
    """Milliseconds of steps of ROWS rows."""
    return measured("language", kernels, zip(ROWS, ms, strict=True), kv, problem)


def vision(kernels: Kernels | None, ms: list[float], problem: str = "") -> Measured:
    """Milliseconds of pictures of PICTURES image tokens."""
    return measured("vision", kernels, zip(PICTURES, ms, strict=True), "", problem)


def measured(
    part: Part, kernels: Kernels | None, ms, kv: str, problem: str
) -> Measured:
    variant = Variant(part, kernels, host.usable_cores(), kv)
    return Measured(variant, () if problem else tuple(ms), problem)


# The fastest of each part comes second.
FAST = Kernels("bf16", 64)
DEFAULT_RESULTS = (
    language(Kernels("f32", 0), [100, 120, 200, 400, 1500]),
    language(FAST, [40, 50, 60, 150, 500]),
    language(None, [60, 120, 200, 400, 900], kv="f16"),
    vision(Kernels("f32", 0), [800, 4000]),
    vision(FAST, [300, 1700]),
    vision(None, [1500, 8000]),
)


def keep_tuning(
    settings: Settings,
    files: ModelFiles,
    *results: Measured,
    is_brief: bool = False,
    date: str = "2026-11-26",
) -> Tuning:
    """Keeps what a measurement would: `results`, or DEFAULT_RESULTS."""
    tuning = Tuning(
        measured=results or DEFAULT_RESULTS,
        is_brief=is_brief,
        date=date,
        made_for=this_machine(settings, files),
        restrictions=restrictions(settings),
    )
    save(tuning, settings, files)
    return tuning
