"""Whether what a server held during a soak stays bounded. Pure.

A series passes in one of two ways: it has a limit in the program and stays below it, or
its growth is at most what a server may grow in a day. The growth is the Theil-Sen
slope, the median of the slopes between all pairs of points, with the confidence
interval of Sen (1968, JASA 63, 1379-1389): outliers and saw-teeth hardly move it. It
is computed from the lowest value in each part of the run, which a leak raises and a
busy moment does not.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import Run
from benchmarks.report.figures import three_digits

Verdict = Literal["bounded", "growing", "undecided"]
Points = Sequence[tuple[float, float]]  # seconds, value

# Records of jobs stay for ten minutes after their end: a quarter of an hour's run.
WARM_UP = 0.25
PARTS = 20  # of the rest; in each the server rests at least once
MIN_PARTS = 8
Z = 2.576  # of a confidence of 99 %
HOURS = 24


@dataclass(frozen=True)
class Bound:
    """What is accepted of the series whose names begin with `prefix`: growth per day,
    or a `limit` that the program enforces."""

    prefix: str
    unit: str = ""
    per_day: float = math.inf
    limit: float = math.inf


# The first prefix that fits counts. A process may gain 750 MB in a month. Keys that
# expire follow the load: nginx lets an address ask 20 times in a second, and records
# stay for ten minutes, answers for an hour.
BOUNDS = (
    Bound("memory in broker", "MB", limit=540),  # 512 MiB
    Bound("memory in cache", "MB", limit=270),  # 256 MiB
    Bound("memory of valkey-server", "MB", limit=900),
    Bound("memory of redis-server", "MB", limit=900),
    Bound(
        "memory of mapped files", "MB", limit=5000
    ),  # parts of files, on disk already
    Bound("memory", "MB", per_day=25),
    Bound("disk of temporary files", "MB", limit=400),
    Bound("disk of state", "MB", limit=1200),
    Bound("keys edge:answer", limit=72_000),
    Bound("keys edge:", limit=12_100),
    Bound("", per_day=24),  # numbers of files, threads, processes, connections, keys
)


@dataclass(frozen=True)
class Growth:
    """One series. `low` and `high`: the confidence interval of the growth per day."""

    name: str
    bound: Bound
    lowest: tuple[float, ...]  # in each part after the warm-up
    largest: float
    per_day: float
    low: float
    high: float
    verdict: Verdict


GROWTH_HEAD = ("held", "at rest", "most", "per day", "99 %", "accepted", "verdict")


def growth_row(one: Growth) -> tuple[str, ...]:
    """The cells of one series, below GROWTH_HEAD."""
    unit, per_day, limit = one.bound.unit, one.bound.per_day, one.bound.limit
    accepted = f"{three_digits(per_day)} per day"
    if math.isfinite(limit):
        accepted = f"{three_digits(limit)} in all"
    return (
        f"{one.name}, {unit}" if unit else one.name,
        three_digits(one.lowest[-1]),
        three_digits(one.largest),
        _signed(one.per_day),
        f"{_signed(one.low)} to {_signed(one.high)}",
        accepted,
        one.verdict,
    )


def growth(run: Run) -> list[Growth]:
    """The verdict on each series of `run`; series with too few samples are left out."""
    began = min((stage.began_s for stage in run.stages), default=0.0)
    ended = max((stage.ended_s for stage in run.stages), default=0.0)
    edges = np.linspace(began + WARM_UP * (ended - began), ended, PARTS + 1)
    found = (_judge(name, points, edges) for name, points in sorted(run.held.items()))
    return [one for one in found if one]


def _judge(name: str, points: Points, edges: NDArray[np.float64]) -> Growth | None:
    at, values = np.array(points).reshape(-1, 2).T
    part = np.searchsorted(edges, at, side="right") - 1  # -1: in the warm-up
    filled = [i for i in range(PARTS) if (part == i).any()]
    if len(filled) < MIN_PARTS:
        return None
    lowest = np.array([values[part == i].min() for i in filled])
    days = edges[filled] / 3600 / HOURS
    per_day, low, high = theil_sen(days, lowest)
    bound = next(one for one in BOUNDS if name.startswith(one.prefix))
    largest = float(values.max())
    verdict: Verdict = "undecided"
    if largest > bound.limit or low > max(0.0, bound.per_day):
        verdict = "growing"
    elif high <= bound.per_day:
        verdict = "bounded"
    return Growth(name, bound, tuple(lowest), largest, per_day, low, high, verdict)


def theil_sen(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[float, float, float]:
    """The median slope between pairs of points, and its interval of 99 %.

    `x` rises; both have the same length, at least 3.
    """
    i, j = np.triu_indices(len(x), 1)
    slopes = np.sort((y[j] - y[i]) / (x[j] - x[i]))
    n = len(x)
    spread = Z * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = max(0, math.floor((len(slopes) - spread) / 2))
    high = min(len(slopes) - 1, math.ceil((len(slopes) + spread) / 2))
    return float(np.median(slopes)), float(slopes[low]), float(slopes[high])


def _signed(value: float) -> str:
    return f"{'+' if value >= 0 else '-'}{three_digits(abs(value))}"


def write_growth(run: Run, path: Path) -> None:
    """Writes the verdicts, what they were computed from, and the requests by kind."""
    outcomes = Counter((one.kind, one.outcome) for one in run.samples)
    requests: dict[str, dict[str, int]] = {}
    for (kind, outcome), n in sorted(outcomes.items()):
        requests.setdefault(kind, {})[outcome] = n
    content = {
        "began_at": run.began_at,
        "minutes": round(sum(s.ended_s - s.began_s for s in run.stages) / 60, 1),
        "users": run.stages[-1].users if run.stages else 0,
        "requests": requests,
        "fingerprint": run.fingerprint,
        "columns": GROWTH_HEAD,
        "verdicts": [growth_row(one) for one in growth(run)],
        "lowest": {
            one.name: [float(f"{value:.5g}") for value in one.lowest]
            for one in growth(run)
        },
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
