"""Options that several commands share, and the settings that result."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from edge.logs import printable
from edge.model_names import is_path, listed
from edge.settings import Settings
from edge.settings_text import expand_home

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

    Of several models in the settings the first is taken.
    """
    settings = settings_for([model] if model else None, mmproj, **others)
    names = listed(settings.models)
    return replace(settings, model=names[0], models="") if names else settings


def settings_for(
    models: list[str] | None, mmproj: Path | None, **others: str | int | None
) -> Settings:
    """The same, of all models.

    Paths of files become absolute, because child processes work in other folders.
    """
    named: dict[str, Any] = {"mmproj": mmproj} | others
    if models:
        several = ",".join(map(_located, models)) if len(models) > 1 else ""
        named |= {"model": models[0], "models": several}
    given = {name: value for name, value in named.items() if value is not None}
    settings = replace(Settings.load(), **given)
    names = listed(settings.models) or (settings.model,)
    # With another model for once, that of the settings may need it.
    is_meant = mmproj is not None or not models
    if settings.mmproj and is_meant and not any(map(is_path, names)):
        print(
            "edge: --mmproj (EDGE_MMPROJ) changes nothing: it belongs to a model that "
            f"is given as a path, and {printable(', '.join(names))} brings its own "
            "vision file.",
            file=sys.stderr,
        )
    return replace(
        settings,
        model=_located(settings.model),
        models=",".join(map(_located, listed(settings.models))),
        mmproj=_located(settings.mmproj),
    )


def _located(name: str | Path) -> str:
    """Makes a path absolute; leaves the name of a model, or nothing, as it is."""
    return str(expand_home(name).absolute()) if is_path(str(name)) else str(name)
