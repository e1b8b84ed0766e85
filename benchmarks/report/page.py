"""A run, or several side by side, as a page with charts and tables, and as CSV.

The page is one file: style and charts are inside, it has no scripts and loads nothing.
What it says is computed in `summary` and drawn in `charts`.
"""

from __future__ import annotations

import csv
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks.record import Run
from benchmarks.report import charts
from benchmarks.report.charts import Curve
from benchmarks.report.knee import knee
from benchmarks.report.published import PUBLISHED, Published
from benchmarks.report.summary import (
    Percentile,
    StageSummary,
    summarise,
    three,
)
from benchmarks.report.tables import (
    COMPARED,
    MEAN,
    RATE,
    number,
    of_stages,
    ratio,
    side_by_side,
)
from benchmarks.report.terminal import NOTHING, gigabytes, shown
from benchmarks.report.trend import slopes

PAGES = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
PAGES.loader = FileSystemLoader(Path(__file__).parent)
PAGES.undefined = StrictUndefined
PAGES.filters["base64"] = lambda data: b64encode(data).decode()


def write_report(runs: Sequence[Run], folder: Path, command: str = "") -> list[Path]:
    """Writes report.html, its charts as PNG files and table.csv into `folder`, and
    says which files these are. `command` is how to do it again."""
    folder.mkdir(parents=True, exist_ok=True)
    curves = [Curve(run.name, summarise(run)) for run in runs]
    published = PUBLISHED if any(map(_is_like_the_field, runs)) else None
    best = knee(curves[0].stages) if len(curves) == 1 else None
    at = [s for s in curves[0].stages if best and s.users == best.users]
    # In the charts of several runs another machine's line would press ours flat.
    beside = published if len(runs) == 1 else None
    drawn = _charts(runs, curves, beside, best.users if best else None)
    figures = [(c.label, shown(c.figure(s)), c.unit) for s in at for c in COMPARED]
    tables = [side_by_side(curves, published)] if published or len(runs) > 1 else []
    for run, curve in zip(runs, curves, strict=True):
        tables += of_stages(run, curve, f" of {run.name}" if len(runs) > 1 else "")
    in_stages = sum(s.requests for curve in curves for s in curve.stages)
    trends = [(run, slopes(run)) for run in runs if run.scenario == "soak"]
    moving = [s.sentence for _, all_ in trends for s in all_ if s.verdict != "steady"]
    headlines = [best.reason] if best else list(_ratios(curves))
    if trends:
        headlines = moving or ["Latency, memory and error share were steady."]
    page = PAGES.get_template("report.html.j2").render(
        runs=runs,
        headlines=headlines,
        key_figures=figures,
        charts=drawn,
        tables=tables,
        published=published,
        slopes=trends,
        at=best and best.users,
        left_out=sum(len(run.samples) for run in runs) - in_stages,
        machines=[(names, list(_rows(found))) for names, found in _machines(runs)],
        command=command,
    )
    files = {f"{name}.png": png for name, png in drawn.items()}
    files["report.html"] = page.encode()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    _write_csv(curves, folder / "table.csv")
    return [folder / name for name in (*files, "table.csv")]


def _is_like_the_field(run: Run) -> bool:
    """Whether the published figures may stand beside it: the same questions, and no toy
    of a model."""
    served = run.fingerprint.get("server", {}).get("models", [])
    return run.scenario == "curve" and "tiny" not in served


def _charts(
    runs: Sequence[Run],
    curves: Sequence[Curve],
    published: Published | None,
    recommended: int | None,
) -> dict[str, bytes]:
    if all(len({s.users for s in curve.stages}) == 1 for curve in curves):
        return {  # what changes is the time
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


def _ratios(curves: Sequence[Curve]) -> Iterator[str]:
    """How each later run did beside the first, at the most users they share."""
    first, *others = curves
    for other in others:
        ours, theirs = ({s.users: s for s in c.stages} for c in (first, other))
        both = [
            (users, rate, mean)
            for users in sorted(ours.keys() & theirs.keys())
            if (rate := ratio(RATE, theirs[users], ours[users]))
            and (mean := ratio(MEAN, theirs[users], ours[users]))
        ]
        for users, rate, mean in both[-1:]:
            yield (
                f"With {users} users at the same time, {other.name} answered "
                f"{three(rate)} times the requests of {first.name}, and each took "
                f"{three(mean)} times as long."
            )


def _machines(runs: Iterable[Run]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The fingerprints that differ, with the names of their runs."""
    rest = list(runs)
    while rest:
        found = rest[0].fingerprint
        yield ", ".join(r.name for r in rest if r.fingerprint == found), found
        rest = [r for r in rest if r.fingerprint != found]


def _rows(found: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """A fingerprint as label and text; what lies inside others is named after them."""
    for name, value in found.items():
        label = f"{above} {name}".strip().replace("_", " ").replace("cpu", "CPU")
        if isinstance(value, Mapping):
            yield from _rows(value, label)
        elif label.endswith(" bytes"):
            yield label.removesuffix(" bytes"), f"{shown(gigabytes(value))} GB"
        elif isinstance(value, list):
            yield label, ", ".join(map(str, value)) or NOTHING
        else:
            yield label, NOTHING if value is None else str(value)


def _write_csv(curves: Sequence[Curve], path: Path) -> None:
    """One row for each stage, in full precision; what too few answers cannot tell is
    left empty."""
    names = [one.name for one in fields(StageSummary)]
    names.remove("peak_resident_bytes")
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["run", *names])
        for curve in curves:
            for stage in curve.stages:
                values = [getattr(stage, name) for name in names]
                numbers = [
                    None if isinstance(v, Percentile) and not v.enough else number(v)
                    for v in values
                ]
                writer.writerow([curve.name, *numbers])
