"""The progress of a run: a live table on a terminal, else one line for each stage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from benchmarks.load.measure import OnProgress, Workload
from benchmarks.record import Run, Stage
from benchmarks.report.figures import three_digits
from benchmarks.report.summary import StageSummary, summarise


@contextmanager
def show_progress(workload: Workload, console: Console) -> Iterator[OnProgress]:
    """Shows on `console` what the callback is told while the block runs."""
    if not console.is_terminal:
        yield _print_stages(console)
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:

        def on_progress(run: Run, current: Stage | None, now_s: float) -> None:
            live.update(view(workload, run, current, now_s))

        yield on_progress


def view(workload: Workload, run: Run, current: Stage | None, now_s: float) -> Group:
    """The run at the moment `now_s`: a row for each stage, and the time left."""
    stages = [*run.stages, *([replace(current, ended_s=now_s)] if current else [])]
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("users", justify="right")
    for column in ("sent", "answered", "refused", "failed", "P50 s", "P95 s", "1/s"):
        table.add_column(column, justify="right")
    for summary in summarise(replace(run, stages=stages)):
        table.add_row(*_row(summary))
    return Group(table, Text(_status(workload, run, current, now_s), style="dim"))


def _row(one: StageSummary) -> Iterator[str | Text]:
    yield str(one.users)
    yield str(one.requests)
    yield str(one.answered)
    yield Text(str(one.refused), style="yellow" if one.refused else "")
    yield Text(str(one.failed), style="bold red" if one.failed else "")
    for percentile in (one.e2e_p50_s, one.e2e_p95_s):
        yield three_digits(percentile.value) if percentile else "-"
    yield three_digits(one.requests_per_s) if one.requests_per_s else "-"


def _status(workload: Workload, run: Run, current: Stage | None, now_s: float) -> str:
    n_done = len(run.stages)
    if not current:
        return f"{n_done} of {len(workload.stages)} stages done"
    status = f"stage {n_done + 1} of {len(workload.stages)}, {current.users} users"
    left_s = _seconds_left(workload, run, current, now_s)
    return f"{status}, about {_minutes(left_s)} left" if left_s is not None else status


def _seconds_left(
    workload: Workload, run: Run, current: Stage, now_s: float
) -> float | None:
    """Seconds until the last stage ends; None before the first sample of a number of
    requests. The rate so far is assumed for all stages, whatever their users."""
    n_stages = len(workload.stages) - len(run.stages) - 1  # after the current one
    if workload.duration_s is not None:
        current_left_s = max(0.0, current.began_s + workload.duration_s - now_s)
        return current_left_s + n_stages * workload.duration_s
    assert workload.requests
    if not run.samples:
        return None
    n_done = sum(sample.began_s >= current.began_s for sample in run.samples)
    n_left = workload.requests - n_done + n_stages * workload.requests
    return n_left * now_s / len(run.samples)


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _print_stages(console: Console) -> OnProgress:
    n_printed = 0

    def on_progress(run: Run, current: Stage | None, now_s: float) -> None:
        nonlocal n_printed
        if len(run.stages) > n_printed:
            n_printed = len(run.stages)
            one = summarise(run)[-1]
            p50 = one.e2e_p50_s
            console.print(
                f"{one.users} users: {one.answered} answered, {one.refused} refused, "
                f"{one.failed} failed"
                f"{f', P50 {three_digits(p50.value)} s' if p50 else ''}"
            )

    return on_progress
