"""Plans of several models on one machine, whose memory is added up before any loads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edge import host
from edge.errors import SetupError
from edge.models.registry import ModelFiles
from edge.serving.memory import MemoryNeed
from edge.serving.plan import Plan, least_need, make_plan
from edge.settings import Settings

GIB: Final = 1 << 30


def plan_together(
    models: Sequence[tuple[Settings, ModelFiles]], reserve_bytes: int
) -> list[Plan]:
    """One Plan for each model. The first ones get the faster choices where memory is
    short; `reserve_bytes` of the free memory are left to other processes.

    Raises SetupError, with the sum, when not even the smallest choices fit together,
    and as `make_plan`.
    """
    least = [least_need(settings, files) for settings, files in models]
    if len(models) > 1:
        names = [files.name for _, files in models]
        check_sum(names, least, host.available_memory_bytes() - reserve_bytes)
    plans: list[Plan] = []
    for n, (settings, files) in enumerate(models):
        others = sum((*(p.need for p in plans), *least[n + 1 :]), MemoryNeed())
        reserved = reserve_bytes + others.total_bytes
        plans.append(make_plan(settings, files, reserve_bytes=reserved))
    return plans


def check_sum(
    names: Sequence[str], needs: Sequence[MemoryNeed], available_bytes: int
) -> None:
    """Raises SetupError with the sum when models do not fit together."""
    total = sum(needs, MemoryNeed()).total_bytes
    if total <= available_bytes:
        return
    parts = (
        f"{name} {need.total_bytes / GIB:.1f}"
        for name, need in zip(names, needs, strict=True)
    )
    raise SetupError(
        f"These models need {total / GIB:.1f} GiB together ({' + '.join(parts)}), and "
        f"{max(0, available_bytes) / GIB:.1f} GiB are free: serve fewer, or smaller "
        "ones, or set EDGE_IDLE_UNLOAD_S=300, so that those that nobody asks leave "
        "memory."
    )
