"""The figures of a run as a table in a terminal of 100 columns."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.table import Table
from rich.text import Text

from benchmarks.report.summary import Percentile, StageSummary, three

NOTHING = "–"
MARK = "†"
NOTE = f"{MARK} too few answers for this percentile: the slowest is shown"


def shown(value: float | Percentile | None) -> str:
    """A figure with three digits; a maximum in a percentile's place is marked."""
    if value is None:
        return NOTHING
    if isinstance(value, Percentile):
        return three(value.value) + ("" if value.enough else MARK)
    return three(value)


def terminal_table(summaries: Iterable[StageSummary]) -> Table:
    """One row for each stage; failures are red, refusals yellow.

    "pause max" is the longest time between two pieces of one answer."""
    stages = list(summaries)
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    for head in (
        *("users", "answered", "refused", "failed"),
        *("mean\ns", "P50\ns", "P95\ns", "P99\ns", "first\ntext s"),
        *("ms per\ntoken", "pause\nmax s"),
        *("requests\n/s", "tokens\n/s", "CPU\n%", "memory\nGB"),
    ):
        table.add_column(head, justify="right", vertical="bottom")
    for stage in stages:
        table.add_row(
            str(stage.users),
            str(stage.answered),
            Text(str(stage.refused), "yellow" if stage.refused else "dim"),
            Text(str(stage.failed), "red" if stage.failed else "dim"),
            *map(shown, (stage.e2e_mean_s, stage.e2e_p50_s)),
            *map(shown, (stage.e2e_p95_s, stage.e2e_p99_s)),
            *map(shown, (stage.ttft_mean_s, stage.tpot_mean_ms, stage.gap_max_s)),
            *map(shown, (stage.requests_per_s, stage.tokens_per_s, stage.cpu_percent)),
            shown(gigabytes(stage.peak_resident_all_bytes)),
        )
    marked = (s for stage in stages for s in (stage.e2e_p95_s, stage.e2e_p99_s))
    if any(one and not one.enough for one in marked):
        table.caption, table.caption_justify = NOTE, "left"
    return table


def gigabytes(n_bytes: int | None) -> float | None:
    return None if n_bytes is None else n_bytes / 1e9
