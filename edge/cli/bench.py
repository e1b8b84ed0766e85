"""The commands `edge bench` and `edge monitor`. They are separate programs, because the
load generator replaces Python's sockets and charts take a second to import."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from edge.cli.errors import clear_errors
from edge.errors import SetupError

# Typer passes all options, --help too, on to the program.
PROGRAM: dict[str, Any] = {
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
    "add_help_option": False,
}
CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"  # in a clone

console = Console(stderr=True)


def bench(context: typer.Context) -> None:
    """Measure a server under load, and how many users it can serve."""
    _become("benchmarks", context.args)


def monitor(context: typer.Context) -> None:
    """Ask a server one standard question again and again."""
    _become("benchmarks.monitor", context.args)


def _become(module: str, arguments: list[str]) -> None:
    """Replaces this process by `python -m module`. Exits if it cannot be installed."""
    with clear_errors():
        if not find_spec("benchmarks"):
            raise SetupError(
                "The benchmark is not part of this installation. Run it from a clone "
                "of the project, which `make run` sets up."
            )
        if not all(map(find_spec, ("locust", "matplotlib", "jinja2"))):
            _install()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])


def _install() -> None:
    """Installs the packages of the extra `bench`: a server does without them.

    Raises SetupError when pip cannot.
    """
    needs = [
        requirement.partition(";")[0].strip()
        for requirement in requires("edge-vl") or ()
        if 'extra == "bench"' in requirement.replace("'", '"')
    ]
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "-q"]
    pins = ["-c", str(CONSTRAINTS)] if CONSTRAINTS.exists() else []
    console.print("Installing the load generator and charts of the benchmark, once.")
    ended = subprocess.run([*pip, *pins, *needs], capture_output=True, text=True)
    if ended.returncode:
        reason = ended.stderr.strip().rpartition("\n")[2]
        raise SetupError(
            f"The benchmark needs {', '.join(needs)}, and pip could not install them: "
            f"{reason}"
        )
