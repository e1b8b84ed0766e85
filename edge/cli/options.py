"""Options that several commands share, and the settings that result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from edge.settings import Settings

Model = Annotated[
    str | None, typer.Option(help="auto, tiny, qwen3-vl-2b, or a path to a GGUF file.")
]
Mmproj = Annotated[
    Path | None, typer.Option(help="The vision GGUF that belongs to --model.")
]
Port = Annotated[int, typer.Option(min=1, max=65535)]


def settings_with(
    model: str | None, mmproj: Path | None, **others: str | int | None
) -> Settings:
    """The settings, overridden by the command line; None is an option not given.

    Paths of files become absolute, because child processes work in other folders.
    """
    given = {"model": model, "mmproj": mmproj} | others
    named: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    settings = replace(Settings.load(), **named)
    return replace(
        settings, model=_located(settings.model), mmproj=_located(settings.mmproj)
    )


def _located(name: str | Path) -> str:
    """Makes a path absolute; leaves the name of a model, or nothing, as it is."""
    is_path = str(name).endswith(".gguf") or "/" in str(name)
    return str(Path(name).expanduser().absolute()) if is_path else str(name)
