"""How many users suit a server: the knee of its curve. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.report.summary import StageSummary, percent, three

WORTHWHILE = 0.10  # more requests/s that make more users worth their wait
PATIENCE = 3.0  # times the P95 of the fewest users, which is still no long wait
UNNOTICED_S = 1.0  # and a P95 below this never is


@dataclass(frozen=True)
class Knee:
    users: int | None  # None: nothing can be recommended
    reason: str  # one sentence


def knee(summaries: Iterable[StageSummary], target_p95_s: float | None = None) -> Knee:
    """The number of users to run with: the most that were still worth it.

    Worth it are more users while each step brings 10 % more requests/s than the best
    with fewer, nothing fails or is refused, and P95 keeps the target: the given one,
    else 3 times the P95 of the fewest users. That is the knee by marginal gain: beyond
    it Little's law (users = throughput x latency) turns every further user into
    waiting, and by Gunther's universal scalability law throughput falls in the end.
    """
    tried = [s for s in summaries if s.requests]
    tried.sort(key=lambda s: (s.users, s.failed, s.refused, -_rate(s), _p95(s)))
    worst = {s.users: s for s in tried}  # of equal numbers, the last
    stages = [s for s in worst.values() if s.requests_per_s]
    if not stages:
        return Knee(None, "No stage answered a request, so no number is recommended.")
    whole = [s for s in stages if not s.failed]
    clean = [s for s in whole if not s.refused] or whole
    if not clean:
        best = min(stages, key=lambda s: s.error_share or 0)
        reason = f"{_best(best)}, though there, too, {percent(best.error_share or 0)}"
        return Knee(best.users, f"{reason} failed; every stage had failures.")
    limit = target_p95_s or max(PATIENCE * _p95(clean[0]), UNNOTICED_S)
    quick = [s for s in clean if _p95(s) <= limit]
    if not quick:
        best = min(clean, key=_p95)
        reason = f"{_best(best)}, though P95 was {three(_p95(best))} s"
        return Knee(best.users, f"{reason}; no stage kept it within {three(limit)} s.")
    best, more = quick[0], ""
    for stage in quick[1:]:
        if (gain := _rate(stage) / _rate(best) - 1) >= WORTHWHILE:
            best, more = stage, f", {percent(gain)} more than {_people(best)}"
    if best.refused:
        more += f", though it refused {percent(best.refused_share or 0)}"
    beyond = next((s for s in worst.values() if s.users > best.users), None)
    reason = f"{_best(best)}: {three(_rate(best))} requests/s{more}"
    return Knee(best.users, f"{reason}; {_no_further(best, beyond, limit)}.")


def _no_further(best: StageSummary, beyond: StageSummary | None, limit: float) -> str:
    if beyond is None:
        return "more users were not tried, so the knee may lie higher"
    users, gain = _people(beyond), _rate(beyond) / _rate(best) - 1
    if beyond.failed:
        return f"with {users} {percent(beyond.failed / beyond.requests)} failed"
    if beyond.refused > best.refused:
        return f"with {users} {percent(beyond.refused_share or 0)} were refused"
    if _p95(beyond) > limit:
        return f"with {users} P95 is {three(_p95(beyond))} s, limit {three(limit)} s"
    waits = f"P95 was {three(_p95(beyond))} s instead of {three(_p95(best))} s"
    return f"{users} added {percent(gain) if gain > 0 else 'nothing'}, and {waits}"


def _rate(stage: StageSummary) -> float:
    return stage.requests_per_s or 0.0


def _p95(stage: StageSummary) -> float:
    return stage.e2e_p95_s.value if stage.e2e_p95_s else 0.0


def _people(stage: StageSummary) -> str:
    return f"{stage.users} user{'s' if stage.users != 1 else ''}"


def _best(stage: StageSummary) -> str:
    return f"Best with {_people(stage)} at the same time"
