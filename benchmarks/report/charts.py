"""Charts of runs as PNG, readable at a width of 700 pixels.

They draw what `summary` says and compute nothing of their own. A value that was not
measured is a gap, and a chart without any says so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from benchmarks.record import Run
from benchmarks.report.drawing import MIST, SLATE, TEAL, Line, paint_lines, png_of
from benchmarks.report.published import Published, PublishedStage
from benchmarks.report.summary import Percentile, StageSummary

Pick = Callable[[StageSummary], float | Percentile | None]

DEEP, PALE = "#0f766e", "#5eada5"
# told apart by people who see few colours, too: by lightness, and by their markers
COLOURS = (TEAL, "#c2410c", "#4338ca", "#a16207", "#be185d", "#1e293b")
MARKERS = "osD^vP"
LOSSES = {"failed": "#9f1239", "refused": "#d97706", "aborted": MIST}
WIDE = 50  # times the smallest, and a linear scale would hide it


@dataclass(frozen=True)
class Curve:
    name: str
    stages: Sequence[StageSummary]


def latency(curves: Sequence[Curve], published: Published | None = None) -> bytes:
    """Mean and P95 to the end of an answer; of one run P50 and P99, too."""
    lines = _of_runs(curves, lambda s: s.e2e_p95_s, "P95", thin=True)
    if len(curves) == 1:
        (p50,) = _of_runs(curves, lambda s: s.e2e_p50_s, "P50", thin=True)
        (p99,) = _of_runs(curves, lambda s: s.e2e_p99_s, "P99", thin=True)
        p50 = replace(p50, colour=PALE, marker="", up_to=lines[0].y)
        lines = [p50, replace(p99, colour=SLATE), *lines]
    lines += _of_runs(curves, lambda s: s.e2e_mean_s, "mean")
    lines += _published(published, lambda s: s.mean_s)
    unit = f"seconds to the end of an answer{_thin(curves, 'P95')}"
    return _over_users("Latency", unit, lines)


def first_text(curves: Sequence[Curve]) -> bytes:
    """Mean and P95 to the first text of an answer."""
    lines = _of_runs(curves, lambda s: s.ttft_p95_s, "P95", thin=True)
    lines += _of_runs(curves, lambda s: s.ttft_mean_s, "mean")
    return _over_users("Time to first text", f"seconds{_thin(curves, 'P95')}", lines)


def throughput(
    curves: Sequence[Curve],
    published: Published | None = None,
    recommended: int | None = None,
) -> bytes:
    """Answered requests per second; `recommended` marks a number of users."""
    lines = _of_runs(curves, lambda s: s.requests_per_s, "")
    lines += _published(published, lambda s: s.requests_per_s)
    return _over_users("Throughput", "answered requests per second", lines, recommended)


def memory(curves: Sequence[Curve], published: Published | None = None) -> bytes:
    """Peak resident memory in all; of one run its larger processes, too."""
    lines = _of_runs(curves, partial(_gigabytes, None), "in all")
    peaks: Counter[str] = Counter()
    for stage in curves[0].stages if len(curves) == 1 else ():
        peaks |= Counter(stage.peak_resident_bytes)  # the larger of both
    for name, peak in peaks.most_common(4):
        if peak > 0.03 * max(peaks.values()):
            (line,) = _of_runs(curves, partial(_gigabytes, name), name, thin=True)
            lines.append(replace(line, colour=SLATE))
    lines += _published(published, lambda s: (s.resident_bytes or math.nan) / 1e9)
    return _over_users("Memory", "peak resident GB", lines)


def losses(curves: Sequence[Curve], published: Published | None = None) -> bytes:
    """Requests without an answer in per cent: of one run stacked by outcome."""
    lines = _of_runs(curves, partial(_percent, "refused"), "", thin=True)
    lines += _of_runs(curves, partial(_percent, "failed"), "")
    if len(curves) == 1:
        below, lines = [0.0] * len(lines[0].x), []
        for outcome, colour in LOSSES.items():
            (line,) = _of_runs(curves, partial(_percent, outcome), outcome)
            top = [a + b for a, b in zip(below, line.y, strict=True)]
            if outcome != "aborted" or any(y > 0 for y in line.y):
                lines.append(replace(line, y=top, up_to=below, colour=colour))
            below = top
    lines += _published(published, lambda s: 100 * s.error_share)
    unit = f"% of requests{_thin(curves, 'refused, thick: failed') or ', stacked'}"
    return _over_users("Errors and refusals", unit, lines, top=10)


def over_time(runs: Sequence[Run], figure: Literal["latency", "memory"]) -> bytes:
    """Each answer, or the memory of all processes, by the minute."""
    lines = []
    for i, run in enumerate(runs):
        points = [(s.began_s, s.e2e_s) for s in run.samples if s.outcome == "answered"]
        if figure == "memory":
            seen = [one for one in run.watched if one.resident_bytes]
            points = [(s.at_s, sum(s.resident_bytes.values()) / 1e9) for s in seen]
        x, y = [at / 60 for at, _ in points], [value for _, value in points]
        name = run.name if len(runs) > 1 else ""
        look = (".", "") if figure == "latency" else ("", "-")
        lines.append(Line(name, x, y, COLOURS[i % 6], *look))

    paint = partial(paint_lines, lines=lines, x_label="minutes")
    unit = {"latency": "seconds to the end of each answer", "memory": "resident GB"}
    return png_of(f"{figure.title()} over time", unit[figure], paint, lines)


def _of_runs(
    curves: Sequence[Curve], pick: Pick, label: str, thin: bool = False
) -> list[Line]:
    """A line for each run: of one run it is called `label`, of several the thick ones
    have the runs' names."""
    lines = []
    for i, curve in enumerate(curves):
        stages = sorted(curve.stages, key=lambda s: s.users)
        drawn = [(s.users, pick(s)) for s in stages if s.users > 0]
        y = [v.value if isinstance(v, Percentile) else v for _, v in drawn]
        few = [isinstance(v, Percentile) and not v.enough for _, v in drawn]
        line = Line(
            label if len(curves) == 1 else "" if thin else curve.name,
            [users for users, _ in drawn],
            [math.nan if one is None else one for one in y],
            *(COLOURS[i % 6], MARKERS[i % 6]),
            width=1.1 if thin else 2.0,
            maxima=[i for i, is_few in enumerate(few) if is_few],
        )
        lines.append(line)
    return lines


def _published(
    published: Published | None, pick: Callable[[PublishedStage], float]
) -> list[Line]:
    if not published:
        return []
    x, y = [s.users for s in published.stages], [pick(s) for s in published.stages]
    return [Line(published.name, x, y, SLATE, "D", "--", 1.4)]


def _thin(curves: Sequence[Curve], what: str) -> str:
    return f"; thin: {what}" if len(curves) > 1 else ""


def _percent(outcome: str, stage: StageSummary) -> float:
    count: int = getattr(stage, outcome)
    return 100 * count / stage.requests if stage.requests else math.nan


def _gigabytes(process: str | None, stage: StageSummary) -> float:
    peaks, in_all = stage.peak_resident_bytes, stage.peak_resident_all_bytes
    n_bytes = in_all if process is None else peaks.get(process)
    return math.nan if n_bytes is None else n_bytes / 1e9


def _over_users(
    title: str,
    unit: str,
    lines: Sequence[Line],
    recommended: int | None = None,
    top: float = 0,
) -> bytes:
    users = sorted({int(x) for line in lines for x in line.x})
    found = [
        y for line in lines for y in line.y if math.isfinite(y) and line.width == 2
    ]
    wide = found and min(found) > 0 and max(found) > WIDE * min(found)
    unit += ", log scale" if wide else ""
    unit += "; hollow: the slowest of too few" if any(n.maxima for n in lines) else ""

    def paint(axes: Axes) -> None:
        paint_lines(axes, lines, "users at the same time", top)
        if users:
            axes.set_xscale("log")
            axes.set_xticks(users, [str(n) for n in users])
            axes.set_xlim(users[0] / 1.12, users[-1] * 1.08)
        if wide:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
            axes.set_ylim(min(found) / 1.5, max(found) * 2)
        axes.minorticks_off()
        if recommended:
            axes.axvline(recommended, color=TEAL, linewidth=1, linestyle=":")
            text = f" recommended: {recommended}"
            axes.text(recommended, 0, text, color=DEEP, va="bottom")

    return png_of(title, unit, paint, lines)
