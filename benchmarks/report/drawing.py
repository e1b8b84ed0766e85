"""One chart as PNG: a title, and lines with their labels at the line ends."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

TEAL = "#0d9488"
INK, SLATE, MIST = "#0f172a", "#64748b", "#94a3b8"
INCHES, DPI = (5.8, 3.4), 240  # 1392 x 816 pixels
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "text.color": INK,
    "text.parse_math": False,  # a name may contain a dollar sign
    "axes.edgecolor": MIST,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": SLATE,
    **{f"axes.spines.{side}": False for side in ("left", "right", "top")},
    "grid.color": "#e2e8f0",
    "lines.markersize": 4.5,
    "xtick.color": MIST,
    **{f"{axis}tick.labelcolor": SLATE for axis in "xy"},
    "ytick.major.size": 0,
}


@dataclass(frozen=True)
class Line:
    label: str  # written at the end of the line
    x: Sequence[float]
    y: Sequence[float]  # NaN where nothing was measured
    colour: str = TEAL
    marker: str = "o"
    style: str = "-"
    width: float = 2.0
    up_to: Sequence[float] = ()  # the other edge of a band, if it is one
    maxima: Sequence[int] = ()  # indices of points that are the maximum of too few


def render_png(
    title: str, unit: str, paint: Callable[[Axes], None], lines: Sequence[Line]
) -> bytes:
    """A chart drawn by `paint`, with the labels of `lines` at the line ends."""
    rows = [row for line in lines for row in _wrapped(line.label)]
    right = 0.97 - 0.0123 * max(map(len, rows), default=0)
    with rc_context(STYLE):
        figure = Figure(INCHES, DPI)
        axes = figure.add_axes((0.08, 0.13, right - 0.08, 0.68))
        figure.text(0.02, 0.93, title, fontsize=11, fontweight="bold")
        figure.text(0.02, 0.865, unit, color=SLATE)
        paint(axes)
        _label_ends(axes, lines)
        png = io.BytesIO()
        figure.savefig(png, format="png", metadata={"Software": None})
    return png.getvalue()


def paint_lines(
    axes: Axes, lines: Sequence[Line], x_label: str, top: float = 0
) -> None:
    """Draws lines and bands. The y axis ends at the highest point, or at `top` if that
    is higher. Without points it writes that nothing was measured."""
    axes.set_xlabel(x_label)
    for line in lines:
        look: dict[str, Any] = {"color": line.colour, "marker": line.marker}
        axes.plot(line.x, line.y, linestyle=line.style, linewidth=line.width, **look)
        x, y = [line.x[i] for i in line.maxima], [line.y[i] for i in line.maxima]
        axes.plot(x, y, linestyle="", markerfacecolor="white", **look)
        if line.up_to:
            fill: dict[str, Any] = {"color": line.colour, "alpha": 0.2, "linewidth": 0}
            axes.fill_between(line.x, line.y, line.up_to, **fill)
    found = [y for line in lines for y in line.y if math.isfinite(y)]
    axes.set_ylim(0, 1.08 * max([top, *found]) or 1)
    if not found:
        axes.set(xticks=[], yticks=[])
        look = {"ha": "center", "va": "center", "color": SLATE}
        axes.text(0.5, 0.5, "nothing was measured", transform=axes.transAxes, **look)


@dataclass(frozen=True)
class _EndLabel:
    text: str
    colour: str
    point: tuple[float, float]  # the end of its line, in data units
    height: float  # of that point, in typographic points


def _label_ends(axes: Axes, lines: Sequence[Line]) -> None:
    """Writes each label beside the last point of its line, without overlaps."""
    labels = []
    for line in lines:
        points = [p for p in zip(line.x, line.y, strict=True) if math.isfinite(p[1])]
        if line.label and points:
            height = axes.transData.transform(points[-1])[1] * 72 / DPI
            text = "\n".join(_wrapped(line.label))
            labels.append(_EndLabel(text, line.colour, points[-1], height))
    labels.sort(key=lambda label: (label.height, label.point, label.text))
    heights = [label.height for label in labels]
    needed = [11.0 + 5.5 * (a.text + b.text).count("\n") for a, b in pairwise(labels)]
    for _ in range(100):  # overlapping neighbours move apart, half the overlap each
        for i, need in enumerate(needed):
            overlap = max(0.0, need - (heights[i + 1] - heights[i])) / 2
            heights[i] -= overlap
            heights[i + 1] += overlap
    for label, height in zip(labels, heights, strict=True):
        axes.annotate(
            label.text,
            label.point,
            (7, height - label.height),
            textcoords="offset points",
            color=label.colour,
            va="center",
            linespacing=1.05,
        )


def _wrapped(name: str) -> list[str]:
    """A name in the letters of DejaVu Sans, as one or two short rows."""
    latin = "".join(c if c.isprintable() and c < "\u0250" else "?" for c in name)
    return textwrap.wrap(latin, 18, max_lines=2, placeholder="…")
