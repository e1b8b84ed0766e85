"""`edge bench`: traces a server's concurrency curve, and compares runs."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import live
from benchmarks.load.chat import read_key
from benchmarks.load.measure import Plan, measure
from benchmarks.load.scenarios import names, scenario
from benchmarks.load.target import Target, ours, running
from benchmarks.record import Run
from benchmarks.report.knee import knee
from benchmarks.report.page import write_report
from benchmarks.report.summary import summarise
from benchmarks.report.terminal import terminal_table
from edge.cli.errors import clear_errors
from edge.errors import SetupError
from edge.settings import Settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(highlight=False)
if not console.is_terminal:  # a file has room for the whole table
    console.width = 100

UNITS = {"s": 1, "m": 60, "h": 3600}


@app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    url: Annotated[
        str, typer.Option(help="A server that runs already; else ours is started.")
    ] = "",
    stages: Annotated[str, typer.Option(help="Users at once: 1,2,4,8,16.")] = "",
    duration: Annotated[str, typer.Option(help="Of each stage: 30s, 5m, 1h.")] = "",
    requests: Annotated[
        int | None, typer.Option(min=1, help="In each stage, in place of a duration.")
    ] = None,
    scenario_name: Annotated[
        str, typer.Option("--scenario", help=f"One of {', '.join(names())}.")
    ] = "curve",
    model: Annotated[str, typer.Option(help="The model to serve, or to ask for.")] = "",
    timeout: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds a client waits at most.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1)] = None,
    name: Annotated[str, typer.Option(help="What charts call this run.")] = "",
    out: Annotated[Path | None, typer.Option(help="Folder of the results.")] = None,
    pid: Annotated[
        int | None, typer.Option(help="The server's process, to watch its memory.")
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(help="A file that holds the server's key.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Repeats the pictures of a run; else new ones.")
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", help="An option of the scenario: repeat-rate=0.3."),
    ] = None,
) -> None:
    """Asks a server more and more questions at once and says how many suit it.

    Each question is about a new picture of 800x600. Ctrl-C keeps what was measured.
    """
    if context.invoked_subcommand:
        return
    with clear_errors():
        if duration and requests:
            raise SetupError("Give --duration or --requests, not both.")
        chosen = scenario(scenario_name)
        duration_s = _seconds(duration) if duration else None
        if not duration and not requests:
            duration_s, requests = chosen.duration_s, chosen.requests
        plan = Plan(
            scenario=scenario_name,
            stages=_numbers(stages) if stages else chosen.stages,
            duration_s=duration_s,
            requests=requests,
            timeout_s=timeout,
            max_tokens=max_tokens,
            model=model if url else "",  # ours serves one, whatever it is called
            seed=seed,
            api_key_file=api_key_file,
            of_scenario=dict(map(_option, options or ())),
        )
        when = datetime.now().strftime("%Y-%m-%d-%H%M%S")
        folder = out or Path("edge-bench", when)
        folder.mkdir(parents=True, exist_ok=True)
        if url:
            target = running(url, pid, read_key(api_key_file))
            _bench(plan, target, name, folder)
        else:
            settings = Settings.load()
            settings = replace(settings, model=model) if model else settings
            console.print("Starting a server of our own to measure it.", style="dim")
            with ours(settings) as target:
                _bench(plan, target, name, folder)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Each the run.json of a run.")],
    out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path(
        "edge-bench", "compare"
    ),
) -> None:
    """Draws several runs in the same charts."""
    with clear_errors():
        loaded = [Run.load(path) for path in runs]
        out.mkdir(parents=True, exist_ok=True)
        _say_written(write_report(loaded, out, command=_command()))


def _bench(plan: Plan, target: Target, name: str, folder: Path) -> None:
    (served,) = target.about["models"][:1] or [""]
    console.print(f"{target.url} serves {served}. Scenario: {plan.scenario}.")
    with live.shown(plan, console) as show:
        run = measure(plan, target, name or served, show)
    run.save(folder / "run.json")
    summaries = summarise(run)
    console.print(terminal_table(summaries))
    console.print(knee(summaries).reason)
    _say_written(write_report([run], folder, command=_command()))


def _say_written(paths: list[Path]) -> None:
    (report,) = (path for path in paths if path.suffix == ".html")
    console.print(f"Report: {report.absolute()}", soft_wrap=True)


def _command() -> str:
    """What was typed, for who wants to do it again."""
    return shlex.join(["edge", "bench", *sys.argv[1:]])


def _seconds(text: str) -> float:
    """Raises SetupError unless `text` is like 30s, 5m or 1.5h."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if not match or not float(match[1]):
        raise SetupError(f"{text!r} is no duration. Write 30s, 5m or 1h.")
    return float(match[1]) * UNITS[match[2]]


def _option(text: str) -> tuple[str, str]:
    """Raises SetupError unless `text` is a name and a value."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise SetupError(f"{text!r} sets nothing. Write --set repeat-rate=0.3.")
    return name, value


def _numbers(text: str) -> tuple[int, ...]:
    """Raises SetupError unless `text` is numbers from 1 on, with commas between."""
    words = text.split(",")
    if not all(word.strip().isdecimal() and int(word) > 0 for word in words):
        raise SetupError(f"{text!r} are no stages. Write users at once: 1,2,4,8.")
    return tuple(map(int, words))


if __name__ == "__main__":
    app(prog_name="edge bench")
