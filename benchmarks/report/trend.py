"""Trends over a soak run: whether latency, memory or errors grew. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import Run
from benchmarks.report.figures import three_digits

Verdict = Literal["rising", "steady", "falling", "unknown"]
Points = Sequence[tuple[float, float]]  # time in seconds, figure

WARM_UP = 0.10  # share of a soak in which caches and pools fill: not a trend
PARTS = 20  # of the rest; their means are nearly independent, single requests are not
MIN_PARTS = 8
SIGNIFICANT = 3.0  # standard errors; 1 in 80 by chance with 8 parts, 1 in 250 with 20


@dataclass(frozen=True)
class Slope:
    """A straight line through one figure of a soak, fitted by least squares."""

    per_hour: float | None  # None: too few parts; its unit is in `sentence`
    standard_error: float | None
    verdict: Verdict
    sentence: str


def slopes(run: Run) -> tuple[Slope, ...]:
    """The trends of latency, resident memory and error share during `run`.

    The first tenth is left out and the rest is divided into 20 parts. A line through
    their means is rising if its slope exceeds 3 standard errors and its total gain is
    at least 2 % of its level (errors: one percentage point).
    """
    accepted = [s for s in run.samples if s.outcome in ("answered", "failed")]
    latency = [(s.began_s, s.e2e_s) for s in accepted if s.outcome == "answered"]
    errors = [(s.began_s, 100.0 * (s.outcome == "failed")) for s in accepted]
    memory = [
        (one.at_s, sum(one.resident_bytes.values()) / 1e6)
        for one in run.watched
        if one.resident_bytes
    ]
    began = min((stage.began_s for stage in run.stages), default=0.0)
    ended = max((stage.ended_s for stage in run.stages), default=0.0)
    edges = np.linspace(began + WARM_UP * (ended - began), ended, PARTS + 1)
    return (
        _slope("latency", "s", latency, edges),
        _slope("resident memory", "MB", memory, edges),
        _slope("error share", "percentage points", errors, edges, min_gain=1.0),
    )


def _slope(
    figure: str,
    unit: str,
    points: Points,
    edges: NDArray[np.float64],
    min_gain: float | None = None,
) -> Slope:
    at, values = np.array(points).reshape(-1, 2).T
    part = np.searchsorted(edges, at, side="right") - 1  # -1: in the warm-up
    filled = [i for i in range(PARTS) if (part == i).any()]
    if len(filled) < MIN_PARTS:
        reason = f"only {len(filled)} of {PARTS} parts of the run have figures"
        sentence = f"The {figure} cannot be judged: {reason}."
        return Slope(None, None, "unknown", sentence)
    means = [float(values[part == i].mean()) for i in filled]
    (per_hour, _), covariance = np.polyfit(edges[filled] / 3600, means, 1, cov=True)
    error = float(np.sqrt(covariance[0, 0]))
    hours = (edges[-1] - edges[0]) / 3600
    gained = abs(per_hour) * hours
    if min_gain is None:
        min_gain = 0.02 * float(np.mean(means))
    verdict: Verdict = "steady"
    if gained >= min_gain and gained > SIGNIFICANT * error * hours:
        verdict = "rising" if per_hour > 0 else "falling"
    sign = "+" if per_hour >= 0 else "-"
    change = f"{sign}{three_digits(abs(per_hour))} ± {three_digits(error)}"
    over = f"{three_digits(60 * hours)} min"
    sentence = f"The {figure} is {verdict}: {change} {unit} per hour, over {over}."
    return Slope(float(per_hour), error, verdict, sentence)
