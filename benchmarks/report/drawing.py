"""One drawing: a title, lines with their names at their ends, as PNG."""

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
    "text.parse_math": False,  # a name may hold a dollar
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
    label: str  # written at its end
    x: Sequence[float]
    y: Sequence[float]  # not a number where nothing was measured
    colour: str = TEAL
    marker: str = "o"
    style: str = "-"
    width: float = 2.0
    up_to: Sequence[float] = ()  # the other edge of a band
    maxima: Sequence[int] = ()  # points that are the slowest of too few


def png_of(
    title: str, unit: str, paint: Callable[[Axes], None], lines: Sequence[Line]
) -> bytes:
    """A figure of what `paint` draws, with the names of `lines` at their ends."""
    names = [part for line in lines for part in _wrapped(line.label)]
    right = 0.97 - 0.0123 * max(map(len, names), default=0)
    with rc_context(STYLE):
        figure = Figure(INCHES, DPI)
        axes = figure.add_axes((0.08, 0.13, right - 0.08, 0.68))
        figure.text(0.02, 0.93, title, fontsize=11, fontweight="bold")
        figure.text(0.02, 0.865, unit, color=SLATE)
        paint(axes)
        _name_ends(axes, lines)
        png = io.BytesIO()
        figure.savefig(png, format="png", metadata={"Software": None})
    return png.getvalue()


def paint_lines(
    axes: Axes, lines: Sequence[Line], x_label: str, top: float = 0
) -> None:
    """Lines and bands from 0 up to their highest point, or to `top` if that is more;
    or a word where there is nothing to draw."""
    axes.set_xlabel(x_label)
    for line in lines:
        look: dict[str, Any] = {"color": line.colour, "marker": line.marker}
        axes.plot(line.x, line.y, linestyle=line.style, linewidth=line.width, **look)
        hollow = [line.x[i] for i in line.maxima], [line.y[i] for i in line.maxima]
        axes.plot(*hollow, linestyle="", markerfacecolor="white", **look)
        if line.up_to:
            fill: dict[str, Any] = {"color": line.colour, "alpha": 0.2, "linewidth": 0}
            axes.fill_between(line.x, line.y, line.up_to, **fill)
    found = [y for line in lines for y in line.y if math.isfinite(y)]
    axes.set_ylim(0, 1.08 * max([top, *found]) or 1)
    if not found:
        axes.set(xticks=[], yticks=[])
        look = {"ha": "center", "va": "center", "color": SLATE}
        axes.text(0.5, 0.5, "nothing was measured", transform=axes.transAxes, **look)


def _name_ends(axes: Axes, lines: Sequence[Line]) -> None:
    """Writes each label beside the last point of its line, none upon another."""
    ends = []
    for line in lines:
        points = [p for p in zip(line.x, line.y, strict=True) if math.isfinite(p[1])]
        if line.label and points:
            own = axes.transData.transform(points[-1])[1] * 72 / DPI
            ends.append((own, points[-1], "\n".join(_wrapped(line.label)), line.colour))
    ends.sort()
    places = [own for own, *_ in ends]
    needed = [11.0 + 5.5 * (a[2] + b[2]).count("\n") for a, b in pairwise(ends)]
    for _ in range(100):  # neighbours that overlap give way, half each
        for i, need in enumerate(needed):
            overlap = max(0.0, need - (places[i + 1] - places[i])) / 2
            places[i] -= overlap
            places[i + 1] += overlap
    for place, (own, point, text, colour) in zip(places, ends, strict=True):
        look: dict[str, Any] = {"color": colour, "va": "center", "linespacing": 1.05}
        look["textcoords"] = "offset points"
        axes.annotate(text, point, (7, place - own), **look)


def _wrapped(name: str) -> list[str]:
    """A name as DejaVu Sans can write it, in two short lines."""
    latin = "".join(c if c.isprintable() and c < "\u0250" else "?" for c in name)
    return textwrap.wrap(latin, 18, max_lines=2, placeholder="…")
