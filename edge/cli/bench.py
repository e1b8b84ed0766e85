"""The commands `edge bench` and `edge monitor`. They are separate programs, because the
load generator replaces Python's sockets and charts take a second to import."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Any

import typer

from edge.cli.errors import clear_errors
from edge.errors import SetupError

# Typer passes all options, --help too, on to the program.
PROGRAM: dict[str, Any] = {
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
    "add_help_option": False,
}


def bench(context: typer.Context) -> None:
    """Measure a server under load, and how many users it can serve."""
    _become("benchmarks", context.args)


def monitor(context: typer.Context) -> None:
    """Ask a server one standard question again and again."""
    _become("benchmarks.monitor", context.args)


def _become(module: str, arguments: list[str]) -> None:
    """Replaces this process by `python -m module`. Exits if it is not installed."""
    with clear_errors():
        if not all(map(find_spec, ("benchmarks", "locust", "matplotlib"))):
            raise SetupError(
                "The benchmark is not installed. Run `make setup` in a clone of the "
                "project, or: pip install 'edge-vl[bench]'."
            )
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])
