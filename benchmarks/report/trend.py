"""Whether something grew while a run lasted: what a soak is for. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import Run
from benchmarks.report.summary import three

Verdict = Literal["rising", "steady", "falling", "unknown"]
Points = Sequence[tuple[float, float]]  # time in seconds, figure

WARM_UP = 0.10  # of a soak: caches and pools fill, which is no trend
PARTS = 20  # of the rest; their means are nearly independent, single requests are not
NEEDED_PARTS = 8
SIGNIFICANT = 3.0  # standard errors; 1 in 80 by chance with 8 parts, 1 in 250 with 20


@dataclass(frozen=True)
class Slope:
    """A straight line through one figure of a soak, by least squares."""

    per_hour: float | None  # in the unit that `sentence` names
    standard_error: float | None
    verdict: Verdict
    sentence: str


def slopes(run: Run) -> tuple[Slope, ...]:
    """Whether latency, memory or errors grew while `run` lasted.

    The first tenth is left out and the rest cut into 20 parts. A line through their
    means rises if its slope is over 3 standard errors and, over that time, it gains
    2 % of its level or more (errors: one percentage point).
    """
    over = [(s.began_s, s) for s in run.samples if s.outcome in ("answered", "failed")]
    latency = [(at, s.e2e_s) for at, s in over if s.outcome == "answered"]
    errors = [(at, 100.0 * (s.outcome == "failed")) for at, s in over]
    seen = [(one.at_s, one.resident_bytes) for one in run.watched if one.resident_bytes]
    memory = [(at, sum(by_process.values()) / 1e6) for at, by_process in seen]
    began = min((stage.began_s for stage in run.stages), default=0.0)
    ended = max((stage.ended_s for stage in run.stages), default=0.0)
    edges = np.linspace(began + WARM_UP * (ended - began), ended, PARTS + 1)
    return (
        _slope("latency", "s", latency, edges),
        _slope("resident memory", "MB", memory, edges),
        _slope("error share", "percentage points", errors, edges, worth=1.0),
    )


def _slope(
    figure: str, unit: str, points: Points, edges: NDArray[np.float64], worth: float = 0
) -> Slope:
    at, values = np.array(points).reshape(-1, 2).T
    part = np.searchsorted(edges, at, side="right") - 1  # -1: in the warm-up
    filled = [i for i in range(PARTS) if (part == i).any()]
    if len(filled) < NEEDED_PARTS:
        found = f"only {len(filled)} of {PARTS} parts of the time have figures"
        sentence = f"The {figure} cannot be judged: {found}."
        return Slope(None, None, "unknown", sentence)
    means = [float(values[part == i].mean()) for i in filled]
    (per_hour, _), covariance = np.polyfit(edges[filled] / 3600, means, 1, cov=True)
    error = float(np.sqrt(covariance[0, 0]))
    hours = (edges[-1] - edges[0]) / 3600
    gained, worth = abs(per_hour) * hours, worth or 0.02 * float(np.mean(means))
    verdict: Verdict = "steady"
    if gained >= worth and gained > SIGNIFICANT * error * hours:
        verdict = "rising" if per_hour > 0 else "falling"
    change = f"{'+' if per_hour >= 0 else '-'}{three(abs(per_hour))} ± {three(error)}"
    over = f"{three(60 * hours)} min"
    sentence = f"The {figure} is {verdict}: {change} {unit} per hour, over {over}."
    return Slope(float(per_hour), error, verdict, sentence)
