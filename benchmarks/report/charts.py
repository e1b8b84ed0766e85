"""Charts of runs as PNG, readable at a width of 700 pixels.

They draw the figures of `summary` and compute none. A value that was not measured is a
gap, and a chart without values says so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from benchmarks.record import Run
from benchmarks.report.drawing import MIST, SLATE, TEAL, Line, paint_lines, render_png
from benchmarks.report.published import Published, PublishedStage
from benchmarks.report.summary import (
    Curve,
    Figure,
    StageSummary,
    is_maximum,
    number,
)

Pick = Callable[[StageSummary], Figure]

DEEP, PALE = "#0f766e", "#5eada5"
# distinct in lightness and marker, too, for colour-blind readers
COLOURS = (TEAL, "#c2410c", "#4338ca", "#a16207", "#be185d", "#1e293b")
MARKERS = "osD^vP"
LOSSES = {"failed": "#9f1239", "refused": "#d97706", "aborted": MIST}
LOG_SCALE_RATIO = 50  # of largest to smallest, above which a linear scale hides values


def latency(curves: Sequence[Curve], published: Published | None = None) -> bytes:
    """Mean and P95 until the end of an answer; for a single run also P50 and P99."""
    lines = _run_lines(curves, lambda s: s.e2e_p95_s, "P95", thin=True)
    if len(curves) == 1:
        (p50,) = _run_lines(curves, lambda s: s.e2e_p50_s, "P50", thin=True)
        (p99,) = _run_lines(curves, lambda s: s.e2e_p99_s, "P99", thin=True)
        p50 = replace(p50, colour=PALE, marker="", up_to=lines[0].y)
        lines = [p50, replace(p99, colour=SLATE), *lines]
    lines += _run_lines(curves, lambda s: s.e2e_mean_s, "mean")
    lines += _published_lines(published, lambda s: s.mean_s)
    unit = f"seconds to the end of an answer{_thin_note(curves, 'P95')}"
    return _draw_by_users("Latency", unit, lines)


def first_text(curves: Sequence[Curve]) -> bytes:
    """Mean and P95 until the first text of an answer."""
    lines = _run_lines(curves, lambda s: s.ttft_p95_s, "P95", thin=True)
    lines += _run_lines(curves, lambda s: s.ttft_mean_s, "mean")
    unit = f"seconds{_thin_note(curves, 'P95')}"
    return _draw_by_users("Time to first text", unit, lines)


def throughput(
    curves: Sequence[Curve],
    published: Published | None = None,
    recommended: int | None = None,
) -> bytes:
    """Answered requests per second; the number of `recommended` users is marked."""
    lines = _run_lines(curves, lambda s: s.requests_per_s, "")
    lines += _published_lines(published, lambda s: s.requests_per_s)
    return _draw_by_users(
        "Throughput", "answered requests per second", lines, recommended
    )


def memory(curves: Sequence[Curve], published: Published | None = None) -> bytes:
    """Peak resident memory; for a single run also its larger processes."""
    lines = _run_lines(curves, partial(_gigabytes, None), "total")
    peaks: Counter[str] = Counter()
    for stage in curves[0].stages if len(curves) == 1 else ():
        peaks |= Counter(stage.peak_resident_bytes)  # keeps the larger
    for name, peak in peaks.most_common(4):
        if peak > 0.03 * max(peaks.values()):
            (line,) = _run_lines(curves, partial(_gigabytes, name), name, thin=True)
            lines.append(replace(line, colour=SLATE))
    lines += _published_lines(published, lambda s: (s.resident_bytes or math.nan) / 1e9)
    return _draw_by_users("Memory", "peak resident GB", lines)


def losses(curves: Sequence[Curve], published: Published | None = None) -> bytes:
    """Requests without an answer, in per cent; for a single run stacked by outcome."""
    lines = _run_lines(curves, partial(_percent, "refused"), "", thin=True)
    lines += _run_lines(curves, partial(_percent, "failed"), "")
    if len(curves) == 1:
        below, lines = [0.0] * len(lines[0].x), []
        for outcome, colour in LOSSES.items():
            (line,) = _run_lines(curves, partial(_percent, outcome), outcome)
            top = [a + b for a, b in zip(below, line.y, strict=True)]
            if outcome != "aborted" or any(y > 0 for y in line.y):
                lines.append(replace(line, y=top, up_to=below, colour=colour))
            below = top
    lines += _published_lines(published, lambda s: 100 * s.error_share)
    unit = f"% of requests{_thin_note(curves, 'refused, thick: failed') or ', stacked'}"
    return _draw_by_users("Errors and refusals", unit, lines, top=10)


def over_time(runs: Sequence[Run], figure: Literal["latency", "memory"]) -> bytes:
    """The latency of each answer, or the memory of all processes, over minutes."""
    lines = []
    for i, run in enumerate(runs):
        name = run.name if len(runs) > 1 else ""
        line = Line(name, [], [], COLOURS[i % 6], marker=".", style="")
        if figure == "latency":
            answered = [s for s in run.samples if s.outcome == "answered"]
            x, y = [s.began_s / 60 for s in answered], [s.e2e_s for s in answered]
        else:
            known = [one for one in run.watched if one.resident_bytes]
            x = [one.at_s / 60 for one in known]
            y = [sum(one.resident_bytes.values()) / 1e9 for one in known]
            line = replace(line, marker="", style="-")
        lines.append(replace(line, x=x, y=y))
    paint = partial(paint_lines, lines=lines, x_label="minutes")
    unit = {"latency": "seconds to the end of each answer", "memory": "resident GB"}
    return render_png(f"{figure.title()} over time", unit[figure], paint, lines)


def _run_lines(
    curves: Sequence[Curve], pick: Pick, label: str, thin: bool = False
) -> list[Line]:
    """A line for each run. A single run gets `label`; of several runs, the thick lines
    get the names of the runs."""
    lines = []
    for i, curve in enumerate(curves):
        stages = sorted((s for s in curve.stages if s.users), key=lambda s: s.users)
        figures = [pick(stage) for stage in stages]
        y = [number(figure) for figure in figures]
        several_label = "" if thin else curve.name
        line = Line(
            label if len(curves) == 1 else several_label,
            [stage.users for stage in stages],
            [math.nan if value is None else value for value in y],
            COLOURS[i % 6],
            MARKERS[i % 6],
            width=1.1 if thin else 2.0,
            maxima=[n for n, figure in enumerate(figures) if is_maximum(figure)],
        )
        lines.append(line)
    return lines


def _published_lines(
    published: Published | None, pick: Callable[[PublishedStage], float]
) -> list[Line]:
    if not published:
        return []
    x, y = [s.users for s in published.stages], [pick(s) for s in published.stages]
    return [Line(published.name, x, y, SLATE, "D", "--", 1.4)]


def _thin_note(curves: Sequence[Curve], what: str) -> str:
    return f"; thin: {what}" if len(curves) > 1 else ""


def _percent(outcome: str, stage: StageSummary) -> float:
    count: int = getattr(stage, outcome)
    return 100 * count / stage.requests if stage.requests else math.nan


def _gigabytes(process: str | None, stage: StageSummary) -> float:
    peaks, total = stage.peak_resident_bytes, stage.peak_resident_all_bytes
    n_bytes = total if process is None else peaks.get(process)
    return math.nan if n_bytes is None else n_bytes / 1e9


def _draw_by_users(
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
    is_log = found and min(found) > 0 and max(found) > LOG_SCALE_RATIO * min(found)
    unit += ", log scale" if is_log else ""
    unit += "; hollow: too few answers" if any(n.maxima for n in lines) else ""

    def paint(axes: Axes) -> None:
        paint_lines(axes, lines, "users at the same time", top)
        if users:
            axes.set_xscale("log")
            axes.set_xticks(users, [str(n) for n in users])
            axes.set_xlim(users[0] / 1.12, users[-1] * 1.08)
        if is_log:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
            axes.set_ylim(min(found) / 1.5, max(found) * 2)
        axes.minorticks_off()
        if recommended:
            axes.axvline(recommended, color=TEAL, linewidth=1, linestyle=":")
            text = f" recommended: {recommended} "
            side = "right" if recommended == users[-1] else "left"
            axes.text(recommended, 0, text, color=DEEP, va="bottom", ha=side)

    return render_png(title, unit, paint, lines)
