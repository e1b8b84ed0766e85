"""The figures of a run, for each stage and for each kind of question. Pure.

Percentiles are nearest ranks (numpy's "inverted_cdf"): times that a user really waited.
The P-th needs 1 / (1 - P) values: P50 2, P90 10, P95 20, P99 100, P99.9 1000. With
fewer the maximum is given, and `Percentile.enough` is False."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.record import ResourceSample, Run, Sample, Stage


@dataclass(frozen=True)
class Percentile:
    value: float
    enough: bool  # False: too few values, so this is their maximum


Figure = float | Percentile | None  # None: not measured


@dataclass(frozen=True)
class StageSummary:
    """One stage. Times are those of answered requests, shares are 0 to 1, and None
    means not measured."""

    users: int
    requests: int
    answered: int
    refused: int
    failed: int
    aborted: int
    cached: int  # answered from the cache
    e2e_mean_s: float | None
    e2e_p50_s: Percentile | None
    e2e_p90_s: Percentile | None
    e2e_p95_s: Percentile | None
    e2e_p99_s: Percentile | None
    e2e_p999_s: Percentile | None  # None below 1000 answers
    e2e_max_s: float | None
    ttft_mean_s: float | None
    ttft_p95_s: Percentile | None
    tpot_mean_ms: float | None
    gap_p99_s: Percentile | None  # of the longest pause in each answer
    gap_max_s: float | None  # the longest pause in any answer
    requests_per_s: float | None  # answered requests
    tokens_per_s: float | None
    drafted_tokens: int
    accepted_tokens: int  # of the drafted ones
    saved_steps: int  # of the language model
    error_share: float | None  # failed / (answered + failed)
    refused_share: float | None  # refused / all requests
    cpu_percent: float | None  # of the server; 100 is one busy core
    peak_resident_bytes: Mapping[str, int]  # by process, each at its own peak
    peak_resident_all_bytes: int | None  # of the sum at any one moment
    queued_max: int | None


@dataclass(frozen=True)
class Curve:
    """The stages of one run, under the name that charts and tables give it."""

    name: str
    stages: Sequence[StageSummary]


def number(figure: Figure) -> float | None:
    return figure.value if isinstance(figure, Percentile) else figure


def is_maximum(figure: Figure) -> bool:
    """Whether it is the maximum in place of a percentile of too few values."""
    return isinstance(figure, Percentile) and not figure.enough


def percentile(values: Sequence[float], p: float) -> Percentile | None:
    """The `p`-th percentile of `values`, 0 < p < 100."""
    if not values:
        return None
    value = np.quantile(values, round(p / 100, 6), method="inverted_cdf")
    return Percentile(float(value), enough=len(values) * (100 - p) >= 100 - 1e-6)


def summarise(run: Run) -> tuple[StageSummary, ...]:
    """One summary for each stage of `run`, in its order."""
    pairs = zip(run.stages, _samples_by_stage(run), strict=True)
    return tuple(_summary(stage, samples, run.watched) for stage, samples in pairs)


def summarise_by_kind(run: Run) -> dict[str, StageSummary]:
    """The same figures for each kind of question, text first; known answers apart.

    Rates count only the time of the stages that asked this kind."""
    pairs = list(zip(run.stages, _samples_by_stage(run), strict=True))
    kinds = {_kind(sample) for _, samples in pairs for sample in samples}
    summaries = {}
    for kind in sorted(kinds, reverse=True):  # text, picture, high-resolution picture
        own = [
            (stage, s) for stage, samples in pairs for s in samples if _kind(s) == kind
        ]
        stages = {stage for stage, _ in own}
        users = max(stage.users for stage in stages)
        seconds = sum(stage.ended_s - stage.began_s for stage in stages)
        summaries[kind] = _summary(Stage(users, 0, seconds), [s for _, s in own], [])
    return summaries


def _kind(sample: Sample) -> str:
    return f"{sample.kind}, known" if sample.cached else sample.kind


def _samples_by_stage(run: Run) -> list[list[Sample]]:
    """The samples of each stage. Where several stages have the same users, a sample
    belongs to the last of them that had begun."""
    by_stage: list[list[Sample]] = [[] for _ in run.stages]
    for sample in run.samples:
        same = [i for i, stage in enumerate(run.stages) if stage.users == sample.users]
        begun = [i for i in same if run.stages[i].began_s <= sample.began_s] or same[:1]
        for i in begun[-1:]:
            by_stage[i].append(sample)
    return by_stage


def _summary(
    stage: Stage, samples: Sequence[Sample], watched: Iterable[ResourceSample]
) -> StageSummary:
    outcomes = [sample.outcome for sample in samples]
    answered = [sample for sample in samples if sample.outcome == "answered"]
    failed, refused = outcomes.count("failed"), outcomes.count("refused")
    e2e = [s.e2e_s for s in answered]
    ttft = [s.ttft_s for s in answered if s.ttft_s is not None]
    tpot_ms = [1000 * s.tpot_s for s in answered if s.tpot_s is not None]
    gaps = [s.gap_s for s in answered if s.gap_s is not None]
    tokens = sum(s.tokens for s in answered)
    seconds = stage.ended_s - stage.began_s if samples else 0.0
    during = [one for one in watched if stage.began_s <= one.at_s <= stage.ended_s]
    resident = [one.resident_bytes for one in during if one.resident_bytes]
    names = sorted({name for one in resident for name in one})
    queued = [one.queued for one in during if one.queued is not None]
    return StageSummary(
        users=stage.users,
        requests=len(samples),
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
        drafted_tokens=sum(s.drafted_tokens for s in answered if not s.cached),
        accepted_tokens=sum(s.accepted_tokens for s in answered if not s.cached),
        saved_steps=sum(s.saved_steps for s in answered if not s.cached),
        error_share=_over(failed, len(answered) + failed),
        refused_share=_over(refused, len(samples)),
        cpu_percent=_over(sum(one.cpu_percent for one in during), len(during)),
        peak_resident_bytes={n: max(r.get(n, 0) for r in resident) for n in names},
        peak_resident_all_bytes=max((sum(r.values()) for r in resident), default=None),
        queued_max=max(queued, default=None),
    )


def _over(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
