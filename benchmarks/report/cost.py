"""What answers cost on a machine that has a price. Pure.

Report C of the field has the cost of one request per second for each of its
optimisations; here each run is a configuration.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.report.columns import Column
from benchmarks.report.figures import format_figure, three_digits
from benchmarks.report.summary import Curve, StageSummary
from benchmarks.report.tables import Cell, Heading, Table

HOUR_S = 3600


def per_thousand(stage: StageSummary, price_per_hour: float) -> float | None:
    """The price of 1,000 answers at the rate of a stage; None without answers."""
    rate = stage.requests_per_s
    return 1000 * price_per_hour / (HOUR_S * rate) if rate else None


def per_rate(stage: StageSummary, price_per_hour: float) -> float | None:
    """The price of an hour with one answer per second, on as many such machines as that
    takes; None without answers."""
    rate = stage.requests_per_s
    return price_per_hour / rate if rate else None


def cost_table(curves: Sequence[Curve], price_per_hour: float) -> Table:
    """A row for each run and stage. The ratio is to the first run that had as many
    users."""
    columns = (
        Column("answers", "per s", lambda s: s.requests_per_s),
        Column("1,000 answers", "cost", lambda s: per_thousand(s, price_per_hour)),
        Column("1 answer/s", "cost per hour", lambda s: per_rate(s, price_per_hour)),
    )
    head = [Heading("run"), Heading("users")]
    head += [Heading(column.label, column.unit) for column in columns]
    rows = [
        [
            Cell(curve.name, "name"),
            Cell(str(stage.users)),
            *(Cell(format_figure(column.figure(stage))) for column in columns),
            Cell(_times(stage, first), "ratio"),
        ]
        for curve, stage, first in _stages(curves)
    ]
    price = three_digits(price_per_hour)
    title = f"Cost, if the machine costs {price} an hour"
    return Table(title, [*head, Heading("ratio")], rows)


def _stages(
    curves: Sequence[Curve],
) -> Iterator[tuple[Curve, StageSummary, StageSummary | None]]:
    """Each stage, and that of an earlier run with as many users."""
    firsts: dict[int, StageSummary] = {}
    for curve in curves:
        own = {stage.users: stage for stage in curve.stages}
        for users, stage in own.items():
            yield curve, stage, firsts.get(users)
        firsts = own | firsts


def _times(stage: StageSummary, first: StageSummary | None) -> str:
    """How many times the cost of `first` an answer has."""
    if not (first and first.requests_per_s and stage.requests_per_s):
        return ""
    return f"×{three_digits(first.requests_per_s / stage.requests_per_s)}"
