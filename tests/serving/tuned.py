"""A machine that was tuned before."""

from __future__ import annotations

from edge.models.registry import ModelFiles
from edge.serving.tuning import TUNED, Tuning, save, this_machine
from edge.settings import Settings


def keep_tuning(settings: Settings, files: ModelFiles, **values: object) -> None:
    """Keeps what `edge doctor --tune` would, for this machine: `values` over those of
    `settings`."""
    tuning = Tuning(
        values={name: getattr(settings, name) for name in TUNED} | values,
        embed_s=((16, 0.1), (64, 0.4)),
        row_s=0.001,
        token_s=0.01,
        date="2026-11-26",
        made_for=this_machine(files),
    )
    save(tuning, settings, files)
