"""`edge bench`: measures the concurrency curve of a server, and compares runs."""

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
from benchmarks.load.chat import read_api_key
from benchmarks.load.measure import Workload, measure
from benchmarks.load.scenarios import load_scenario, scenario_names
from benchmarks.load.target import Target, ours, running
from benchmarks.record import Run
from benchmarks.report.growth import growth, write_growth
from benchmarks.report.knee import find_knee
from benchmarks.report.page import write_report
from benchmarks.report.summary import summarise
from benchmarks.report.terminal import growth_table, terminal_table
from edge.cli.errors import clear_errors
from edge.cli.options import settings_with
from edge.errors import SetupError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(highlight=False)
if not console.is_terminal:  # wide enough for the whole table
    console.width = 120

Price = Annotated[
    float | None,
    typer.Option(min=0.000001, help="Of the machine: adds what answers cost."),
]
UNITS = {"s": 1, "m": 60, "h": 3600}


@app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    url: Annotated[
        str, typer.Option(help="A running server; default: start one.")
    ] = "",
    stages: Annotated[
        str, typer.Option(help="Users at once in each stage: 1,2,4,8,16.")
    ] = "",
    duration: Annotated[
        str, typer.Option(help="Length of each stage: 30s, 5m, 1h.")
    ] = "",
    requests: Annotated[
        int | None,
        typer.Option(min=1, help="Requests in each stage, instead of --duration."),
    ] = None,
    scenario_name: Annotated[
        str, typer.Option("--scenario", help=f"One of {', '.join(scenario_names())}.")
    ] = "curve",
    model: Annotated[
        str, typer.Option(help="Model to serve; with --url: to ask for.")
    ] = "",
    timeout: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds until a client gives up.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest answer, in tokens.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of this run in charts.")] = "",
    out: Annotated[Path | None, typer.Option(help="Folder for the results.")] = None,
    pid: Annotated[
        int | None, typer.Option(help="Process of the server, to watch its memory.")
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File with the API key of the server.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Repeats pictures; default: new ones each run.")
    ] = None,
    keep: Annotated[
        bool | None,
        typer.Option(
            help="Show the curve on the server's page; default: if it is here."
        ),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", help="Option of the scenario: repeat-rate=0.3."),
    ] = None,
    price_per_hour: Price = None,
) -> None:
    """Measure a server with more and more users, and recommend a number of users.

    Each question is about a new picture of 800x600. Ctrl-C ends the run and keeps its
    results.
    """
    if context.invoked_subcommand:
        return
    with clear_errors():
        if duration and requests:
            raise SetupError("Give --duration or --requests, not both.")
        chosen = load_scenario(scenario_name)
        duration_s = _parse_seconds(duration) if duration else None
        if not duration and not requests:
            duration_s, requests = chosen.duration_s, chosen.requests
        workload = Workload(
            scenario=scenario_name,
            stages=_parse_stages(stages) if stages else chosen.stages,
            duration_s=duration_s,
            requests=requests,
            timeout_s=timeout,
            max_tokens=max_tokens,
            model=model if url else "",  # a server started here has one model
            seed=seed,
            api_key_file=api_key_file,
            scenario_options=dict(_parse_option(text) for text in options or ()),
        )
        when = datetime.now().strftime("%Y-%m-%d-%H%M%S")
        folder = out or Path("edge-bench", when)
        folder.mkdir(parents=True, exist_ok=True)
        settings = settings_with(None if url else model or None, None)
        api_key = read_api_key(api_key_file)
        if url:
            target = running(url, pid, api_key)
            run = _bench(workload, target, name, folder, price_per_hour)
        else:
            settings = replace(settings, **chosen.settings)
            console.print("Starting a server to measure.", style="dim")
            with ours(settings, api_key) as target:
                run = _bench(workload, target, name, folder, price_per_hour)
        is_here = target.is_local if keep is None else keep
        if is_here and scenario_name == "curve":
            _keep_curve(run, settings.data_dir / "bench")


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="The run.json of each run.")],
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path(
        "edge-bench", "compare"
    ),
    price_per_hour: Price = None,
) -> None:
    """Draw several runs in the same charts."""
    with clear_errors():
        loaded = [Run.load(path) for path in runs]
        out.mkdir(parents=True, exist_ok=True)
        _print_path(write_report(loaded, out, _command(), price_per_hour))


def _bench(
    workload: Workload,
    target: Target,
    name: str,
    folder: Path,
    price_per_hour: float | None,
) -> Run:
    """Measures, saves and shows a run."""
    served = next(iter(target.about["models"]), "")
    console.print(f"{target.url} serves {served}. Scenario: {workload.scenario}.")
    with live.show_progress(workload, console) as on_progress:
        run = measure(workload, target, name or served, on_progress)
    run.save(folder / "run.json")
    summaries = summarise(run)
    console.print(terminal_table(summaries))
    if run.held:
        write_growth(run, folder / "growth.json")
        console.print(growth_table(growth(run)))
    else:
        console.print(find_knee(summaries).reason)
    _print_path(write_report([run], folder, _command(), price_per_hour))
    return run


def _keep_curve(run: Run, folder: Path) -> None:
    """Saves the newest curve of this server where its web process finds it."""
    path = folder / "latest.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".new")
        run.save(unfinished)
        unfinished.replace(path)
    except OSError as error:
        raise SetupError(f"{path} cannot be written: {error.strerror}.") from None


def _print_path(report: Path) -> None:
    console.print(f"Report: {report.absolute()}", soft_wrap=True)


def _command() -> str:
    """The command line of this process, to repeat it."""
    return shlex.join(["edge", "bench", *sys.argv[1:]])


def _parse_seconds(text: str) -> float:
    """Raises SetupError unless `text` is like 30s, 5m or 1.5h."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if not match or not float(match[1]):
        raise SetupError(f"{text!r} is not a duration. Write 30s, 5m or 1h.")
    return float(match[1]) * UNITS[match[2]]


def _parse_option(text: str) -> tuple[str, str]:
    """The name and value of an option. Raises SetupError unless `text` has both."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise SetupError(f"{text!r} is not NAME=VALUE. Write --set repeat-rate=0.3.")
    return name, value


def _parse_stages(text: str) -> tuple[int, ...]:
    """Raises SetupError unless `text` is numbers above 0, separated by commas."""
    words = text.split(",")
    if not all(word.strip().isdecimal() and int(word) > 0 for word in words):
        raise SetupError(
            f"{text!r} is not a list of stages. Write numbers of users: 1,2,4,8."
        )
    return tuple(map(int, words))


if __name__ == "__main__":
    app(prog_name="edge bench")
