"""What a run says: figures of its stages and of its kinds of questions. Pure.

Percentiles are nearest ranks (numpy's "inverted_cdf"): times that somebody did wait.
The P-th needs 1 / (1 - P) values: P50 2, P90 10, P95 20, P99 100, P99.9 1000. With
fewer it is the maximum, and says so in `Percentile.enough`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.record import Run, Sample, Stage, Watched


@dataclass(frozen=True)
class Percentile:
    value: float
    enough: bool  # False: too few values, so this is the largest of them


@dataclass(frozen=True)
class StageSummary:
    """One stage. Times are of its answered requests, shares are 0 to 1, and None is
    what was not measured."""

    users: int
    requests: int
    answered: int
    refused: int
    failed: int
    aborted: int
    cached: int  # of the answered
    e2e_mean_s: float | None
    e2e_p50_s: Percentile | None
    e2e_p90_s: Percentile | None
    e2e_p95_s: Percentile | None
    e2e_p99_s: Percentile | None
    e2e_p999_s: Percentile | None  # only of 1000 answers and more
    e2e_max_s: float | None
    ttft_mean_s: float | None
    ttft_p95_s: Percentile | None
    tpot_mean_ms: float | None
    gap_p99_s: Percentile | None  # of each answer's longest gap
    gap_max_s: float | None
    requests_per_s: float | None  # answered ones
    tokens_per_s: float | None
    error_share: float | None  # failed / (answered + failed)
    refused_share: float | None  # of all requests
    cpu_percent: float | None  # of the server; 100 is one core kept busy
    peak_resident_bytes: Mapping[str, int]  # by process, each at its own moment
    peak_resident_all_bytes: int | None  # of all together, at one moment
    queued_max: int | None


def three(value: float) -> str:
    """`value` with three significant digits."""
    if abs(value) >= 999.5:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:#.3g}".rstrip(".") if value else "0"


def percent(share: float) -> str:
    return f"{three(100 * share)} %"


def percentile(values: Sequence[float], p: float) -> Percentile | None:
    """The `p`-th percentile of `values`, 0 < p < 100."""
    if not values:
        return None
    value = np.quantile(values, round(p / 100, 6), method="inverted_cdf")
    return Percentile(float(value), enough=len(values) * (100 - p) >= 100 - 1e-6)


def summarise(run: Run) -> tuple[StageSummary, ...]:
    """One summary for each stage of `run`, in its order."""
    pairs = zip(run.stages, _asked(run), strict=True)
    return tuple(_summary(stage, asked, run.watched) for stage, asked in pairs)


def by_kind(run: Run) -> dict[str, StageSummary]:
    """The same figures for each kind of question, text first, over all stages that
    asked it: a kind with stages of its own is not slowed by the time of the others."""
    pairs = list(zip(run.stages, _asked(run), strict=True))
    kinds = {sample.kind for _, asked in pairs for sample in asked}
    summaries = {}
    for kind in sorted(kinds, reverse=True):  # text, picture, high-resolution picture
        own = [(stage, s) for stage, asked in pairs for s in asked if s.kind == kind]
        stages = {stage for stage, _ in own}
        users = max(stage.users for stage in stages)
        seconds = sum(stage.ended_s - stage.began_s for stage in stages)
        summaries[kind] = _summary(Stage(users, 0, seconds), [s for _, s in own], [])
    return summaries


def _asked(run: Run) -> list[list[Sample]]:
    """The samples of each stage. Where several stages have the same users, a sample
    belongs to the last of them that had begun."""
    asked: list[list[Sample]] = [[] for _ in run.stages]
    for sample in run.samples:
        same = [i for i, stage in enumerate(run.stages) if stage.users == sample.users]
        begun = [i for i in same if run.stages[i].began_s <= sample.began_s] or same[:1]
        for i in begun[-1:]:
            asked[i].append(sample)
    return asked


def _summary(
    stage: Stage, asked: Sequence[Sample], watched: Iterable[Watched]
) -> StageSummary:
    outcomes = [sample.outcome for sample in asked]
    answered = [sample for sample in asked if sample.outcome == "answered"]
    failed, refused = outcomes.count("failed"), outcomes.count("refused")
    e2e = [s.e2e_s for s in answered]
    ttft = [s.ttft_s for s in answered if s.ttft_s is not None]
    tpot_ms = [1000 * s.tpot_s for s in answered if s.tpot_s is not None]
    gaps = [s.gap_s for s in answered if s.gap_s is not None]
    tokens = sum(s.tokens for s in answered)
    seconds = stage.ended_s - stage.began_s if asked else 0.0
    seen = [one for one in watched if stage.began_s <= one.at_s <= stage.ended_s]
    resident = [one.resident_bytes for one in seen if one.resident_bytes]
    names = sorted({name for one in resident for name in one})
    queued = [one.queued for one in seen if one.queued is not None]
    return StageSummary(
        users=stage.users,
        requests=len(asked),
        answered=len(answered),
        refused=refused,
        failed=failed,
        aborted=outcomes.count("aborted"),
        cached=sum(s.cached for s in answered),
        e2e_mean_s=_over(sum(e2e), len(e2e)),
        e2e_p50_s=percentile(e2e, 50),
        e2e_p90_s=percentile(e2e, 90),
        e2e_p95_s=percentile(e2e, 95),
        e2e_p99_s=percentile(e2e, 99),
        e2e_p999_s=percentile(e2e, 99.9) if len(e2e) >= 1000 else None,
        e2e_max_s=max(e2e, default=None),
        ttft_mean_s=_over(sum(ttft), len(ttft)),
        ttft_p95_s=percentile(ttft, 95),
        tpot_mean_ms=_over(sum(tpot_ms), len(tpot_ms)),
        gap_p99_s=percentile(gaps, 99),
        gap_max_s=max(gaps, default=None),
        requests_per_s=_over(len(answered), seconds),
        tokens_per_s=_over(tokens, seconds) if tokens else None,
        error_share=_over(failed, len(answered) + failed),
        refused_share=_over(refused, len(asked)),
        cpu_percent=_over(sum(one.cpu_percent for one in seen), len(seen)),
        peak_resident_bytes={n: max(r.get(n, 0) for r in resident) for n in names},
        peak_resident_all_bytes=max((sum(r.values()) for r in resident), default=None),
        queued_max=max(queued, default=None),
    )


def _over(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
