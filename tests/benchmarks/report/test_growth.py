"""The verdicts of a soak: leaks are found, load and saw-teeth are not leaks."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.record import Run, Sample, Stage
from benchmarks.report.growth import Growth, growth, theil_sen, write_growth
from benchmarks.report.terminal import growth_table

HOUR_S = 3600


def judge(
    name: str, value: Callable[[float], float], length_s: float = HOUR_S
) -> Growth:
    """The verdict on a series that is sampled every 5 seconds."""
    run = Run("soak", "http://x", "2026-08-14T09:30:00Z", "soak")
    run.stages = [Stage(4, 0.0, length_s)]
    run.held = {name: [(t, value(t)) for t in np.arange(0, length_s, 5).tolist()]}
    (one,) = growth(run)
    return one


@pytest.mark.parametrize("seed", range(5))
def test_a_process_that_gains_three_megabytes_in_an_hour_is_growing(seed: int) -> None:
    noise = random.Random(seed)
    one = judge("memory of ui", lambda t: 140 + 3 * t / HOUR_S + noise.uniform(0, 1))
    assert one.verdict == "growing"
    assert one.low < 72 < one.high
    assert one.per_day == pytest.approx(72, rel=0.2)


@pytest.mark.parametrize("seed", range(5))
def test_busy_moments_do_not_count(seed: int) -> None:
    noise = random.Random(seed)
    one = judge("memory of ui", lambda t: 140 + noise.choice((0, 0, 0.1, 40)))
    assert (one.verdict, one.largest) == ("bounded", 180)


def test_the_warm_up_does_not_count() -> None:
    one = judge("memory of worker", lambda t: min(280, 100 + t))
    assert (one.verdict, one.per_day, one.low, one.high) == ("bounded", 0, 0, 0)


def test_one_open_file_each_ten_minutes_is_growth() -> None:
    assert judge("open files of ui", lambda t: 30 + t // 600).verdict == "growing"
    assert judge("open files of ui", lambda t: 30.0).verdict == "bounded"


def test_a_cache_may_fill_up_to_its_limit() -> None:
    assert judge("memory in cache", lambda t: t / 20).verdict == "bounded"
    assert judge("memory in cache", lambda t: t / 10).verdict == "growing"


def test_a_short_and_noisy_run_decides_nothing() -> None:
    noisy = judge("memory of ui", lambda t: 140 + 7 * (t // 12) % 10, length_s=300)
    assert noisy.verdict == "undecided"


def test_a_series_with_few_samples_is_left_out(run_empty: Run) -> None:
    run_empty.stages = [Stage(4, 0.0, HOUR_S)]
    run_empty.held = {"processes": [(3000.0, 5.0)]}
    assert growth(run_empty) == []


def test_an_outlier_hardly_moves_the_slope() -> None:
    x = np.arange(20.0)
    y = 2 * x
    y[19] = 1000
    slope, low, high = theil_sen(x, y)
    assert slope == 2 and low == 2 and high < 60


def test_the_verdicts_are_written_with_their_figures(
    tmp_path: Path, run_soak: Run
) -> None:
    run_soak.held = {
        "threads of ui": [(t, 9.0) for t in np.arange(0, 1800, 5).tolist()]
    }
    run_soak.samples = [Sample(4, 0.0, 1.0, "answered")]
    write_growth(run_soak, tmp_path / "growth.json")
    written = json.loads((tmp_path / "growth.json").read_text())
    assert written["requests"] == {"picture": {"answered": 1}}
    (row,) = written["verdicts"]
    assert dict(zip(written["columns"], row, strict=True)) == {
        "held": "threads of ui",
        "at rest": "9.00",
        "most": "9.00",
        "per day": "+0",
        "99 %": "+0 to +0",
        "accepted": "24.0 per day",
        "verdict": "bounded",
    }
    assert growth_table(growth(run_soak)).row_count == 1
