"""How a run is getting on: a table that is drawn anew, or a line for each stage where
nobody sees tables being drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from benchmarks.load.measure import Plan, Show
from benchmarks.record import Run, Stage
from benchmarks.report.summary import StageSummary, summarise, three


@contextmanager
def shown(plan: Plan, console: Console) -> Iterator[Show]:
    """What `measure` calls: shows the run on `console` while the block runs."""
    if not console.is_terminal:
        yield _in_lines(console)
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:

        def show(run: Run, current: Stage | None, now_s: float) -> None:
            live.update(view(plan, run, current, now_s))

        yield show


def view(plan: Plan, run: Run, current: Stage | None, now_s: float) -> Group:
    """The run at the moment `now_s`: a row for each stage, and how much is left."""
    stages = [*run.stages, *([replace(current, ended_s=now_s)] if current else [])]
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("users", justify="right")
    for column in ("asked", "answered", "refused", "failed", "P50 s", "P95 s", "1/s"):
        table.add_column(column, justify="right")
    for summary in summarise(replace(run, stages=stages)):
        table.add_row(*_row(summary))
    return Group(table, Text(_left(plan, run, current, now_s), style="dim"))


def _row(one: StageSummary) -> Iterator[str | Text]:
    yield str(one.users)
    yield str(one.requests)
    yield str(one.answered)
    yield Text(str(one.refused), style="yellow" if one.refused else "")
    yield Text(str(one.failed), style="bold red" if one.failed else "")
    for figure in (one.e2e_p50_s, one.e2e_p95_s):
        yield three(figure.value) if figure else "-"
    yield three(one.requests_per_s) if one.requests_per_s else "-"


def _left(plan: Plan, run: Run, current: Stage | None, now_s: float) -> str:
    done = len(run.stages)
    if not current:
        return f"{done} of {len(plan.stages)} stages done"
    told = f"stage {done + 1} of {len(plan.stages)}, {current.users} users"
    left_s = _seconds_left(plan, run, current, now_s)
    return f"{told}, about {_minutes(left_s)} left" if left_s is not None else told


def _seconds_left(plan: Plan, run: Run, current: Stage, now_s: float) -> float | None:
    """Until the last stage ends; None while nothing is known. A number of requests
    takes as long as those before it took, however many users share them."""
    to_come = len(plan.stages) - len(run.stages) - 1
    if plan.duration_s is not None:
        here = max(0.0, current.began_s + plan.duration_s - now_s)
        return here + to_come * plan.duration_s
    assert plan.requests
    if not run.samples:
        return None
    here_done = sum(sample.began_s >= current.began_s for sample in run.samples)
    left = plan.requests - here_done + to_come * plan.requests
    return left * now_s / len(run.samples)


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _in_lines(console: Console) -> Show:
    told = 0

    def show(run: Run, current: Stage | None, now_s: float) -> None:
        nonlocal told
        if len(run.stages) > told:
            told = len(run.stages)
            one = summarise(run)[-1]
            p50 = f", P50 {three(one.e2e_p50_s.value)} s" if one.e2e_p50_s else ""
            console.print(
                f"{one.users} users: {one.answered} answered, {one.refused} refused, "
                f"{one.failed} failed{p50}"
            )

    return show
