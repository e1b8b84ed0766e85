"""The tables of a report: which figures stand in which columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.record import Run
from benchmarks.report.charts import Curve
from benchmarks.report.published import Published
from benchmarks.report.summary import Percentile, StageSummary, by_kind, three
from benchmarks.report.terminal import MARK, NOTE, gigabytes, shown

Figure = float | Percentile | None
Cell = tuple[str, str]  # its text, its tone


@dataclass(frozen=True)
class Column:
    label: str
    unit: str
    figure: Callable[[StageSummary], Figure]
    tone: str = ""  # of figures over 0


@dataclass(frozen=True)
class Table:
    title: str
    head: Sequence[Cell]  # label and unit
    rows: Sequence[Sequence[Cell]]

    @property
    def note(self) -> str:
        return NOTE if any(MARK in text for row in self.rows for text, _ in row) else ""


def _hundred(share: float | None) -> float | None:
    return None if share is None else 100 * share


MEAN = Column("mean", "s", lambda s: s.e2e_mean_s)
P50 = Column("P50", "s", lambda s: s.e2e_p50_s)
P90 = Column("P90", "s", lambda s: s.e2e_p90_s)
P95 = Column("P95", "s", lambda s: s.e2e_p95_s)
P99 = Column("P99", "s", lambda s: s.e2e_p99_s)
P999 = Column("P99.9", "s", lambda s: s.e2e_p999_s)
FIRST = Column("first text", "s", lambda s: s.ttft_mean_s)
RATE = Column("requests", "per s", lambda s: s.requests_per_s)
TOKENS = Column("tokens", "per s", lambda s: s.tokens_per_s)
ANSWERED = Column("answered", "", lambda s: s.answered)
FAILED = Column("failed", "%", lambda s: _hundred(s.error_share), "bad")
MEMORY = Column("memory", "GB", lambda s: gigabytes(s.peak_resident_all_bytes))
STREAM = (
    FIRST,
    Column("first text P95", "s", lambda s: s.ttft_p95_s),
    Column("per token", "ms", lambda s: s.tpot_mean_ms),
    Column("gap P99", "s", lambda s: s.gap_p99_s),
    Column("longest gap", "s", lambda s: s.gap_max_s),
)
LOAD = (
    RATE,
    TOKENS,
    Column("CPU", "% of a core", lambda s: s.cpu_percent),
    Column("queue", "at most", lambda s: s.queued_max),
    MEMORY,
)
REQUESTS = (
    Column("sent", "", lambda s: s.requests),
    ANSWERED,
    Column("from cache", "", lambda s: s.cached),
    Column("refused", "", lambda s: s.refused, "warn"),
    Column("failed", "", lambda s: s.failed, "bad"),
    Column("aborted", "", lambda s: s.aborted),
    Column("refused", "% of sent", lambda s: _hundred(s.refused_share), "warn"),
    Column("failed", "% of accepted", FAILED.figure, "bad"),
)
WITH_RATIO = (RATE, TOKENS, MEAN, P95, FIRST)
COMPARED = (*WITH_RATIO, FAILED, MEMORY)


def of_stages(run: Run, curve: Curve, of_run: str) -> Iterator[Table]:
    """The tables of one run; `of_run` is added to their titles."""
    stages = [(str(stage.users), stage) for stage in curve.stages]
    tail = (P999,) if any(stage.e2e_p999_s for stage in curve.stages) else ()
    latency = (MEAN, P50, P90, P95, P99, *tail, *STREAM)
    yield _table(f"Latency{of_run}", "users", stages, latency)
    yield _table(f"Throughput and load{of_run}", "users", stages, LOAD)
    yield _table(f"Requests{of_run}", "users", stages, REQUESTS)
    processes = {name for stage in curve.stages for name in stage.peak_resident_bytes}
    if processes:
        columns = [_of_process(name) for name in sorted(processes)]
        yield _table(f"Peak memory{of_run}", "users", stages, columns)
    if len(kinds := by_kind(run)) > 1:
        columns = [ANSWERED, P50, P90, P99, RATE]
        yield _table(f"By kind{of_run}", "kind", [*kinds.items()], columns)


def _of_process(name: str) -> Column:
    def megabytes(stage: StageSummary) -> float | None:
        peak = stage.peak_resident_bytes.get(name)
        return None if peak is None else peak / 1e6

    return Column(name, "MB", megabytes)


def _table(
    title: str,
    by: str,
    stages: Iterable[tuple[str, StageSummary]],
    columns: Sequence[Column],
) -> Table:
    head = [(by, ""), *((column.label, column.unit) for column in columns)]
    rows = [[(n, ""), *(_cell(c, stage) for c in columns)] for n, stage in stages]
    return Table(title, head, rows)


def side_by_side(curves: Sequence[Curve], published: Published | None) -> Table:
    """All runs by users, those after the first with ratios to it; then the field."""
    wide = {c: 2 if len(curves) > 1 and c in WITH_RATIO else 1 for c in COMPARED}
    head = [("users", ""), ("run", "")]
    for column in COMPARED:
        head += [(column.label, column.unit), ("ratio", "")][: wide[column]]
    stages = [{s.users: s for s in curve.stages} for curve in curves]
    field = {s.users: s for s in published.stages} if published else {}
    rows: list[list[Cell]] = []
    for users in sorted({*field, *(n for own in stages for n in own)}):
        first = stages[0].get(users)
        for curve, own in zip(curves, stages, strict=True):
            if stage := own.get(users):
                rows.append([(str(users), ""), (curve.name, "name")])
                for column in COMPARED:
                    more = ratio(column, stage, None if stage is first else first)
                    times = (f"×{three(more)}" if more else "", "ratio")
                    rows[-1] += [_cell(column, stage), times][: wide[column]]
        if published and (one := field.get(users)):
            rows.append([(str(users), "field"), (published.name, "field name")])
            failed, size = 100 * one.error_share, gigabytes(one.resident_bytes)
            latency = (one.mean_s, one.p95_s, None)
            figures = (one.requests_per_s, None, *latency, failed, size)
            for figure, width in zip(figures, wide.values(), strict=True):
                rows[-1] += [(shown(figure), "field"), ("", "field")][:width]
    return Table("Side by side", head, rows)


def ratio(column: Column, a: StageSummary, b: StageSummary | None) -> float | None:
    """How many times the figure of `b` that of `a` is."""
    over, under = number(column.figure(a)), number(column.figure(b)) if b else None
    return over / under if over is not None and under else None


def number(figure: Figure) -> float | None:
    return figure.value if isinstance(figure, Percentile) else figure


def _cell(column: Column, stage: StageSummary) -> Cell:
    figure = column.figure(stage)
    whole = isinstance(figure, int)
    return (f"{figure:,}" if whole else shown(figure)), column.tone if figure else ""
