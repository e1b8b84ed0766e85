"""The figures of a run as a table in a terminal of 100 columns.

Latencies below 0.1 s need up to 120 columns.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.table import Table
from rich.text import Text

from benchmarks.report.figures import NOTE, format_figure, gigabytes
from benchmarks.report.growth import GROWTH_HEAD, Growth, growth_row
from benchmarks.report.summary import StageSummary, is_maximum

STYLES = {"bounded": "dim", "undecided": "yellow", "growing": "red"}
HEADINGS = (
    "users",
    "answered",
    "refused",
    "failed",
    "mean\ns",
    "P50\ns",
    "P95\ns",
    "P99\ns",
    "first\ntext s",
    "token\nms",
    "pause\nmax s",
    "req/s",
    "tok/s",
    "CPU\n%",
    "RAM\nGB",
)


def growth_table(growths: Iterable[Growth]) -> Table:
    """One row for each series of a soak."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column("held")
    for heading in GROWTH_HEAD[1:]:
        table.add_column(heading, justify="right")
    for one in growths:
        *cells, verdict = growth_row(one)
        table.add_row(*cells, Text(verdict, STYLES[one.verdict]))
    return table


def terminal_table(summaries: Iterable[StageSummary]) -> Table:
    """One row for each stage; failures are red, refusals yellow.

    "pause max" is the longest time between two pieces of one answer."""
    stages = list(summaries)
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="right", vertical="bottom")
    for stage in stages:
        table.add_row(
            str(stage.users),
            str(stage.answered),
            Text(str(stage.refused), "yellow" if stage.refused else "dim"),
            Text(str(stage.failed), "red" if stage.failed else "dim"),
            format_figure(stage.e2e_mean_s),
            format_figure(stage.e2e_p50_s),
            format_figure(stage.e2e_p95_s),
            format_figure(stage.e2e_p99_s),
            format_figure(stage.ttft_mean_s),
            format_figure(stage.tpot_mean_ms),
            format_figure(stage.gap_max_s),
            format_figure(stage.requests_per_s),
            format_figure(stage.tokens_per_s),
            format_figure(stage.cpu_percent),
            format_figure(gigabytes(stage.peak_resident_all_bytes)),
        )
    percentiles = [p for stage in stages for p in (stage.e2e_p95_s, stage.e2e_p99_s)]
    if any(map(is_maximum, percentiles)):
        table.caption, table.caption_justify = NOTE, "left"
    return table
