"""Figures of stages and kinds, and trends, compared with figures computed by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.record import ResourceSample, Run, Sample, Stage
from benchmarks.report.figures import three_digits
from benchmarks.report.summary import (
    number,
    percentile,
    summarise,
    summarise_by_kind,
)
from benchmarks.report.trend import slopes

DRAFTED = {"drafted_tokens": 9, "accepted_tokens": 6, "saved_steps": 8}


def run_of(stages: list[Stage]) -> Run:
    return Run("run", "http://127.0.0.1", "2026-08-14T09:30:00Z", stages=stages)


def answered(e2e_s: float, users: int = 1, began_s: float = 0.0, **more) -> Sample:
    return Sample(users, began_s, e2e_s, "answered", **more)


def test_a_stage_by_hand() -> None:
    run = run_of([Stage(2, 0.0, 10.0)])
    run.samples = [
        answered(1.0, 2, ttft_s=0.5, tpot_s=0.02, gap_s=0.1, tokens=20, **DRAFTED),
        answered(
            3.0,
            2,
            ttft_s=1.5,
            tpot_s=0.04,
            gap_s=0.3,
            tokens=30,
            cached=True,
            **DRAFTED,  # when it was computed, for an earlier question
        ),
        Sample(2, 2.0, 30.0, "failed", code="504"),
        Sample(2, 3.0, 0.1, "refused", code="429"),
        Sample(2, 4.0, 0.7, "aborted"),
    ]
    run.watched = [
        ResourceSample(1.0, 100.0, {"ui": 10, "worker": 200}, 0),
        ResourceSample(9.0, 200.0, {"ui": 30, "worker": 190}, 3),
        ResourceSample(11.0, 900.0, {"ui": 999}, 99),  # after its end
    ]
    (stage,) = summarise(run)
    assert (stage.requests, stage.answered, stage.cached) == (5, 2, 1)
    assert (stage.failed, stage.refused, stage.aborted) == (1, 1, 1)
    assert stage.e2e_mean_s == 2.0 and stage.e2e_max_s == 3.0
    assert stage.ttft_mean_s == 1.0 and stage.tpot_mean_ms == pytest.approx(30)
    assert stage.gap_max_s == 0.3
    assert (stage.requests_per_s, stage.tokens_per_s) == (0.2, 5.0)
    drafting = (stage.drafted_tokens, stage.accepted_tokens, stage.saved_steps)
    assert drafting == (9, 6, 8)
    assert stage.error_share == pytest.approx(1 / 3) and stage.refused_share == 0.2
    assert stage.cpu_percent == 150.0 and stage.queued_max == 3
    assert stage.peak_resident_bytes == {"ui": 30, "worker": 200}
    assert stage.peak_resident_all_bytes == 220  # and not 230: of one moment


def test_unmeasured_figures_are_none() -> None:
    (stage,) = summarise(run_of([Stage(1, 0.0, 5.0)]))
    assert stage.requests == 0 and stage.peak_resident_bytes == {}
    for name in ("e2e_mean_s", "e2e_p95_s", "ttft_mean_s", "requests_per_s"):
        assert getattr(stage, name) is None
    for name in ("error_share", "refused_share", "cpu_percent", "queued_max"):
        assert getattr(stage, name) is None


def test_a_stage_of_failures_has_a_rate_of_zero() -> None:
    run = run_of([Stage(1, 0.0, 5.0)])
    run.samples = [Sample(1, 0.0, 5.0, "failed")]
    (stage,) = summarise(run)
    assert stage.requests_per_s == 0.0 and stage.error_share == 1.0
    assert stage.e2e_mean_s is None and stage.tokens_per_s is None


@pytest.mark.parametrize(
    ("n", "p", "value", "enough"),
    [
        (20, 95, 19, True),
        (19, 95, 19, False),
        (100, 99, 99, True),
        (99, 99, 99, False),
        (5, 99, 5, False),
        (10, 90, 9, True),
        (9, 90, 9, False),
        (2, 50, 1, True),
        (1, 50, 1, False),
        (1000, 99.9, 999, True),
    ],
)
def test_percentiles_are_nearest_ranks(
    n: int, p: float, value: float, enough: bool
) -> None:
    found = percentile(list(range(1, n + 1)), p)
    assert found and (found.value, found.enough) == (value, enough)


@given(st.lists(st.floats(0, 1e4), min_size=1), st.sampled_from([50, 90, 95, 99, 99.9]))
def test_a_percentile_is_a_value_that_its_share_does_not_exceed(
    values: list[float], p: float
) -> None:
    found = percentile(values, p)
    assert found and found.value in values
    below = sum(value <= found.value for value in values)
    assert below >= len(values) * p / 100 - 1e-6
    assert found.enough or found.value == max(values)


def test_known_answers_are_a_kind_of_their_own() -> None:
    run = run_of([Stage(1, 0.0, 5.0)])
    known = replace(answered(0.01), cached=True)
    run.samples = [answered(2.0), known, known]
    kinds = summarise_by_kind(run)
    assert {kind: stage.answered for kind, stage in kinds.items()} == {
        "picture": 1,
        "picture, known": 2,
    }
    assert number(kinds["picture, known"].e2e_p95_s) == 0.01


def test_p999_needs_a_thousand_answers() -> None:
    run = run_of([Stage(1, 0.0, 5.0)])
    run.samples = [answered(i / 100) for i in range(999)]
    assert summarise(run)[0].e2e_p999_s is None
    run.samples.append(answered(100.0))
    p999 = summarise(run)[0].e2e_p999_s
    assert p999 and p999.value == 9.98


def test_stages_with_equal_users_share_no_sample() -> None:
    run = run_of([Stage(1, 0, 10), Stage(4, 10, 20), Stage(1, 20, 30)])
    run.samples = [answered(1.0, began_s=at) for at in (0.0, 5.0, 20.0, 25.0, 29.0)]
    assert [stage.requests for stage in summarise(run)] == [2, 0, 3]


def test_rates_of_kinds_use_only_their_stages() -> None:
    run = run_of([Stage(1, 0, 10), Stage(2, 10, 30)])
    run.samples = [answered(1.0, kind="picture")] * 2
    run.samples += [answered(3.0, 2, 11.0, kind="text")] * 4
    run.samples += [answered(9.0, 2, 11.0, kind="high-resolution picture")]
    kinds = summarise_by_kind(run)
    assert list(kinds) == ["text", "picture", "high-resolution picture"]
    assert [kind.requests_per_s for kind in kinds.values()] == [0.2, 0.2, 0.05]
    assert kinds["text"].e2e_mean_s == 3.0 and kinds["text"].answered == 4


@given(st.integers(0, 2**16))
def test_every_sample_is_in_one_summary(seed: int) -> None:
    users = (1, 2, 2, 4)
    run = run_of([Stage(n, 9.0 * i, 9.0 * i + 8) for i, n in enumerate(users)])
    outcomes = ("answered", "refused", "failed", "aborted")
    run.samples = [
        Sample(users[i % 4], float(i % 36), 1.0, outcomes[(seed >> i) % 4])
        for i in range(40)
    ]
    stages = summarise(run)
    assert sum(stage.requests for stage in stages) == 40
    for stage in stages:
        parts = (stage.answered, stage.refused, stage.failed, stage.aborted)
        assert sum(parts) == stage.requests
    assert sum(kind.requests for kind in summarise_by_kind(run).values()) == 40


def test_a_leak_is_rising_and_latency_is_steady(run_soak: Run) -> None:
    latency, memory, errors = slopes(run_soak)
    assert (latency.verdict, memory.verdict) == ("steady", "rising")
    assert memory.per_hour == pytest.approx(400, rel=0.1)
    assert memory.sentence.startswith("The resident memory is rising: +")
    assert errors.verdict == "steady" and errors.per_hour == 0


def test_growing_errors_are_found(run_soak: Run) -> None:
    samples = run_soak.samples
    for i in range(0, len(samples), 3):
        if samples[i].began_s > 1200:
            samples[i] = Sample(4, samples[i].began_s, 30.0, "failed")
    assert slopes(run_soak)[2].verdict == "rising"


def test_decreasing_latency_is_falling(run_made: Callable[..., Run]) -> None:
    run = run_made(users=(1,), seconds=1800)
    run.samples = [answered(5 - s.began_s / 1000, 1, s.began_s) for s in run.samples]
    falling = slopes(run)[0]
    assert falling.verdict == "falling"
    assert falling.per_hour == pytest.approx(-3.6, rel=0.05)


@pytest.mark.parametrize("seed", range(10))
def test_noise_alone_does_not_rise(run_made: Callable[..., Run], seed: int) -> None:
    verdicts = {s.verdict for s in slopes(run_made(users=(2,), seed=seed, seconds=900))}
    assert verdicts == {"steady"}


def test_short_and_empty_runs_are_not_judged(
    run_empty: Run, run_cut_short: Run
) -> None:
    assert {one.verdict for one in slopes(run_empty)} == {"unknown"}
    run_cut_short.samples = run_cut_short.samples[:3]
    run_cut_short.watched = []
    for one in slopes(run_cut_short):
        assert one.per_hour is None and "cannot be judged" in one.sentence


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.012345, "0.0123"),
        (0.5, "0.500"),
        (6.2, "6.20"),
        (99.96, "100"),
        (123.4, "123"),
        (999.7, "1,000"),
        (12345, "12,300"),
        (-2.5, "-2.50"),
    ],
)
def test_three_digits(value: float, text: str) -> None:
    assert three_digits(value) == text


@given(st.floats(1e-3, 1e6))
def test_three_digits_are_half_a_per_cent_near(value: float) -> None:
    assert math.isclose(
        float(three_digits(value).replace(",", "")), value, rel_tol=0.0051
    )
