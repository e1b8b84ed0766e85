"""The recommended number of users: the knee of the concurrency curve. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.report.figures import format_percent, three_digits
from benchmarks.report.summary import StageSummary

MIN_GAIN = 0.10  # more requests/s, to justify more users
MAX_P95_RATIO = 3.0  # to the P95 with the fewest users
ALWAYS_FAST_S = 1.0  # a P95 below this is never too slow


@dataclass(frozen=True)
class Knee:
    users: int | None  # None: no number can be recommended
    reason: str  # one sentence


def find_knee(
    summaries: Iterable[StageSummary], target_p95_s: float | None = None
) -> Knee:
    """The largest number of users whose extra throughput justifies the extra latency.

    More users are justified while they bring 10 % more requests/s than the best stage
    with fewer, nothing fails or is refused, and P95 stays within the target:
    `target_p95_s`, else 3 times the P95 of the fewest users. This is the knee by
    marginal gain: beyond it Little's law (users = throughput x latency) turns each
    further user into waiting time, and by Gunther's universal scalability law
    throughput falls in the end.
    """
    tried = [s for s in summaries if s.requests]
    tried.sort(key=lambda s: (s.users, s.failed, s.refused, -_rate(s), _p95(s)))
    worst = {s.users: s for s in tried}  # the last of those with equal users
    stages = [s for s in worst.values() if s.requests_per_s]
    if not stages:
        return Knee(None, "No stage answered a request, so no number is recommended.")
    whole = [s for s in stages if not s.failed]
    clean = [s for s in whole if not s.refused] or whole
    if not clean:
        best = min(stages, key=lambda s: s.error_share or 0)
        failed = f"{format_percent(best.error_share or 0)} of requests failed"
        return Knee(
            best.users, f"{_best(best)}, but {failed}; every stage had failures."
        )
    limit = target_p95_s or max(MAX_P95_RATIO * _p95(clean[0]), ALWAYS_FAST_S)
    fast = [s for s in clean if _p95(s) <= limit]
    if not fast:
        best = min(clean, key=_p95)
        reason = f"{_best(best)}, but P95 was {three_digits(_p95(best))} s"
        missed = f"no stage kept it within {three_digits(limit)} s"
        return Knee(best.users, f"{reason}; {missed}.")
    best, details = fast[0], ""
    for stage in fast[1:]:
        if (gain := _rate(stage) / _rate(best) - 1) >= MIN_GAIN:
            details = f", {format_percent(gain)} more than {_users(best)}"
            best = stage
    if best.refused:
        details += f", although {format_percent(best.refused_share or 0)} were refused"
    beyond = next((s for s in worst.values() if s.users > best.users), None)
    reason = f"{_best(best)}: {three_digits(_rate(best))} requests/s{details}"
    return Knee(best.users, f"{reason}; {_why_not_more(best, beyond, limit)}.")


def _why_not_more(best: StageSummary, beyond: StageSummary | None, limit: float) -> str:
    if beyond is None:
        return "more users were not tried, so the best number may be higher"
    users, gain = _users(beyond), _rate(beyond) / _rate(best) - 1
    if beyond.failed:
        return f"with {users} {format_percent(beyond.failed / beyond.requests)} failed"
    if beyond.refused > best.refused:
        return f"with {users} {format_percent(beyond.refused_share or 0)} were refused"
    if beyond.e2e_p95_s is None:
        return f"with {users} no request was answered"
    p95, best_p95 = three_digits(_p95(beyond)), three_digits(_p95(best))
    if _p95(beyond) > limit:
        return f"with {users} P95 is {p95} s, limit {three_digits(limit)} s"
    added = format_percent(gain) if gain > 0 else "nothing"
    return f"{users} added {added}, and P95 was {p95} s instead of {best_p95} s"


def _rate(stage: StageSummary) -> float:
    return stage.requests_per_s or 0.0


def _p95(stage: StageSummary) -> float:
    """In seconds; infinite without an answer."""
    return stage.e2e_p95_s.value if stage.e2e_p95_s else math.inf


def _users(stage: StageSummary) -> str:
    return f"{stage.users} user{'s' if stage.users != 1 else ''}"


def _best(stage: StageSummary) -> str:
    return f"Best with {_users(stage)} at the same time"
