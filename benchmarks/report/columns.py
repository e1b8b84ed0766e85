"""The columns of the tables in a report: label, unit and figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.report.figures import gigabytes
from benchmarks.report.published import PublishedStage
from benchmarks.report.summary import Figure, StageSummary, number


@dataclass(frozen=True)
class Column:
    label: str
    unit: str
    figure: Callable[[StageSummary], Figure]
    css_class: str = ""  # of figures above 0


def ratio(column: Column, stage: StageSummary, base: StageSummary) -> float | None:
    """The figure of `stage` divided by that of `base`; None where one is missing."""
    over, under = number(column.figure(stage)), number(column.figure(base))
    return over / under if over is not None and under else None


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


MEAN = Column("mean", "s", lambda s: s.e2e_mean_s)
P50 = Column("P50", "s", lambda s: s.e2e_p50_s)
P90 = Column("P90", "s", lambda s: s.e2e_p90_s)
P95 = Column("P95", "s", lambda s: s.e2e_p95_s)
P99 = Column("P99", "s", lambda s: s.e2e_p99_s)
P999 = Column("P99.9", "s", lambda s: s.e2e_p999_s)
FIRST_TEXT = Column("first text", "s", lambda s: s.ttft_mean_s)
REQUEST_RATE = Column("requests", "per s", lambda s: s.requests_per_s)
TOKEN_RATE = Column("tokens", "per s", lambda s: s.tokens_per_s)
ANSWERED = Column("answered", "", lambda s: s.answered)
LONGEST_PAUSE = Column("longest pause", "s", lambda s: s.gap_max_s)
FAILED = Column("failed", "%", lambda s: _percent(s.error_share), "bad")
MEMORY = Column("memory", "GB", lambda s: gigabytes(s.peak_resident_all_bytes))
STREAM = (
    FIRST_TEXT,
    Column("first text P95", "s", lambda s: s.ttft_p95_s),
    Column("per token", "ms", lambda s: s.tpot_mean_ms),
    Column("pause P99", "s", lambda s: s.gap_p99_s),
    LONGEST_PAUSE,
)
LOAD = (
    REQUEST_RATE,
    TOKEN_RATE,
    Column("CPU", "% of a core", lambda s: s.cpu_percent),
    Column("queue", "maximum", lambda s: s.queued_max),
    MEMORY,
)
DRAFTING = (
    Column("drafted", "tokens", lambda s: s.drafted_tokens),
    Column("accepted", "tokens", lambda s: s.accepted_tokens),
    Column("steps saved", "", lambda s: s.saved_steps),
)
REQUESTS = (
    Column("sent", "", lambda s: s.requests),
    ANSWERED,
    Column("from cache", "", lambda s: s.cached),
    Column("refused", "", lambda s: s.refused, "warn"),
    Column("failed", "", lambda s: s.failed, "bad"),
    Column("aborted", "", lambda s: s.aborted),
    Column("refused", "% of sent", lambda s: _percent(s.refused_share), "warn"),
    Column("failed", "% of accepted", FAILED.figure, "bad"),
)
WITH_RATIO = (REQUEST_RATE, TOKEN_RATE, MEAN, P95, FIRST_TEXT)
COMPARED = (*WITH_RATIO, LONGEST_PAUSE, FAILED, MEMORY)
PUBLISHED_FIGURES: dict[Column, Callable[[PublishedStage], float | None]] = {
    REQUEST_RATE: lambda s: s.requests_per_s,
    MEAN: lambda s: s.mean_s,
    P95: lambda s: s.p95_s,
    FAILED: lambda s: 100 * s.error_share,
    MEMORY: lambda s: gigabytes(s.resident_bytes),
}
