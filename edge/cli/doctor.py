"""The command `edge doctor`: checks this machine; with --tune, measures it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge.cli.errors import clear_errors
from edge.cli.options import Mmproj, Model, Port, settings_for, settings_with
from edge.errors import SetupError
from edge.logs import printable
from edge.models.registry import find_model
from edge.serving.plan import make_plan
from edge.serving.report import table
from edge.serving.tune import measure_variants
from edge.serving.tuning import save
from edge.settings import Settings
from edge.up.account import leave_root
from edge.up.checks import Finding
from edge.up.doctor import findings

MARKS = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "wrong": "[red]wrong[/]"}

console = Console(highlight=False)


def doctor(
    model: Model = None,
    mmproj: Mmproj = None,
    port: Port = 8080,
    tune: Annotated[
        bool,
        typer.Option("--tune", help="Measure the fastest kernels, in three minutes."),
    ] = False,
) -> None:
    """Check this machine, and say what is wrong and how to change it."""
    with clear_errors():
        if tune:
            _tune(settings_with(model, mmproj))
            return
        settings = settings_for([model] if model else None, mmproj)
        settings, running_as = leave_root(settings, None)
        if running_as:
            console.print(running_as)
        n_wrong = 0
        for finding in findings(settings, port):
            n_wrong += finding.level == "wrong"
            _show(finding)
        if n_wrong:
            raise SetupError("Correct what is wrong before `edge up`.")


def _show(finding: Finding) -> None:
    line = Table.grid(padding=(0, 2))
    line.add_column(width=5)
    line.add_column(width=9)
    line.add_column(overflow="fold")
    # it may quote a model's file
    message = "\n".join(printable(each) for each in finding.message.split("\n"))
    line.add_row(MARKS[finding.level], finding.about, escape(message))
    console.print(line)


def _tune(settings: Settings) -> None:
    files = find_model(settings)
    console.print(f"Measuring with {files.name}. Other programs distort the result.")
    tuning = measure_variants(settings, files, lambda line: console.print(escape(line)))
    try:
        path = save(tuning, settings, files)
    except OSError as error:
        raise SetupError(f"The result cannot be saved: {error}.") from None
    plan = make_plan(settings, files)
    console.print("\n" + escape("\n".join([*table(plan), *plan.notes])))
    console.print(f"Saved in {path}: the next `edge up` uses it.")
