"""A run, or several side by side, as a page with charts and tables, and as CSV.

The page is one file: style and charts are inside, it has no scripts and loads nothing.
Its figures are computed in `summary` and drawn in `charts`.
"""

from __future__ import annotations

import csv
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks.record import Run
from benchmarks.report import charts
from benchmarks.report.columns import COMPARED, MEAN, REQUEST_RATE, ratio
from benchmarks.report.cost import cost_table
from benchmarks.report.figures import format_figure, three_digits
from benchmarks.report.growth import growth
from benchmarks.report.knee import Knee, find_knee
from benchmarks.report.machines import machines
from benchmarks.report.published import PUBLISHED, Published
from benchmarks.report.summary import (
    Curve,
    StageSummary,
    is_maximum,
    number,
    summarise,
)
from benchmarks.report.tables import growth_table, side_by_side, stage_tables
from benchmarks.report.trend import Slope, slopes

TEMPLATES = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
TEMPLATES.loader = FileSystemLoader(Path(__file__).parent)
TEMPLATES.undefined = StrictUndefined
TEMPLATES.filters["base64"] = lambda data: b64encode(data).decode()


@dataclass(frozen=True)
class KeyFigure:
    label: str
    text: str
    unit: str


@dataclass(frozen=True)
class Trend:
    """What rose, fell or was steady in a soak."""

    run: Run
    slopes: Sequence[Slope]


def write_report(
    runs: Sequence[Run],
    folder: Path,
    command: str = "",
    price_per_hour: float | None = None,
) -> Path:
    """Writes report.html, its charts as PNG files, and table.csv into `folder`.

    `command` is shown as the way to repeat it. With the price of the machine there is a
    table of costs. Returns the path of report.html."""
    folder.mkdir(parents=True, exist_ok=True)
    curves = [Curve(run.name, summarise(run)) for run in runs]
    published = PUBLISHED if any(map(_is_comparable_to_published, runs)) else None
    best = find_knee(curves[0].stages) if len(curves) == 1 else None
    # In the charts of several runs the line of another machine would flatten the rest.
    published_line = published if len(runs) == 1 else None
    drawn = _charts(runs, curves, published_line, best.users if best else None)
    tables = [side_by_side(curves, published)] if published or len(runs) > 1 else []
    if price_per_hour:
        tables.append(cost_table(curves, price_per_hour))
    for run, curve in zip(runs, curves, strict=True):
        suffix = f" of {run.name}" if len(runs) > 1 else ""
        tables += [*growth_table(run, suffix), *stage_tables(run, curve, suffix)]
    n_in_stages = sum(stage.requests for curve in curves for stage in curve.stages)
    trends = [Trend(run, slopes(run)) for run in runs if run.scenario == "soak"]
    page = TEMPLATES.get_template("report.html.j2").render(
        runs=runs,
        headlines=_headlines(curves, best, trends),
        key_figures=list(_key_figures(curves[0], best)) if best else [],
        charts=drawn,
        tables=tables,
        published=published,
        trends=trends,
        recommended=best and best.users,
        n_left_out=sum(len(run.samples) for run in runs) - n_in_stages,
        machines=list(machines(runs)),
        command=command,
    )
    for name, png in drawn.items():
        (folder / f"{name}.png").write_bytes(png)
    _write_csv(curves, folder / "table.csv")
    report = folder / "report.html"
    report.write_text(page, encoding="utf-8")
    return report


def _is_comparable_to_published(run: Run) -> bool:
    """Whether `run` asked the published question, and not of the toy model."""
    served = run.fingerprint.get("server", {}).get("models", [])
    return run.scenario == "curve" and "tiny" not in served


def _charts(
    runs: Sequence[Run],
    curves: Sequence[Curve],
    published: Published | None,
    recommended: int | None,
) -> dict[str, bytes]:
    """PNG files by name, without the suffix."""
    if all(len({s.users for s in curve.stages}) == 1 for curve in curves):
        return {  # with one number of users, only time changes
            "latency-over-time": charts.over_time(runs, "latency"),
            "memory-over-time": charts.over_time(runs, "memory"),
        }
    return {
        "latency": charts.latency(curves, published),
        "throughput": charts.throughput(curves, published, recommended),
        "first-text": charts.first_text(curves),
        "errors": charts.losses(curves, published),
        "memory": charts.memory(curves, published),
    }


def _headlines(
    curves: Sequence[Curve], best: Knee | None, trends: Sequence[Trend]
) -> list[str]:
    if trends:
        all_slopes = [slope for trend in trends for slope in trend.slopes]
        unsteady = [one.sentence for one in all_slopes if one.verdict != "steady"]
        for one in (one for trend in trends for one in growth(trend.run)):
            if one.verdict != "bounded":
                unsteady.append(f"Held: {one.name} is {one.verdict}.")
        return unsteady or ["Latency, memory and error share were steady."]
    if best:
        return [best.reason]
    first, *others = curves
    return [line for other in others for line in _comparison(first, other)]


def _comparison(first: Curve, other: Curve) -> Iterator[str]:
    """How `other` compares to `first`, at the most users that both measured."""
    firsts, others = ({s.users: s for s in c.stages} for c in (first, other))
    for users in sorted(firsts.keys() & others.keys(), reverse=True):
        rate = ratio(REQUEST_RATE, others[users], firsts[users])
        mean = ratio(MEAN, others[users], firsts[users])
        if rate and mean:
            yield (
                f"With {users} users at the same time, {other.name} answered "
                f"{three_digits(rate)} times the requests of {first.name}, and each "
                f"took {three_digits(mean)} times as long."
            )
            return


def _key_figures(curve: Curve, best: Knee) -> Iterator[KeyFigure]:
    """The compared figures with the recommended number of users."""
    for stage in curve.stages:
        if stage.users == best.users:
            for column in COMPARED:
                text = format_figure(column.figure(stage))
                yield KeyFigure(column.label, text, column.unit)


def _write_csv(curves: Sequence[Curve], path: Path) -> None:
    """One row for each stage, in full precision. A percentile of too few answers stays
    empty."""
    names = [one.name for one in fields(StageSummary)]
    names.remove("peak_resident_bytes")
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["run", *names])
        for curve in curves:
            for stage in curve.stages:
                values = [getattr(stage, name) for name in names]
                numbers = [None if is_maximum(v) else number(v) for v in values]
                writer.writerow([curve.name, *numbers])
