"""Every chart is a complete PNG, with or without figures."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib import rcParams
from PIL import Image

from benchmarks.record import Run
from benchmarks.report import charts
from benchmarks.report.published import PUBLISHED
from benchmarks.report.summary import Curve, summarise

OVER_USERS = [
    charts.latency,
    charts.throughput,
    charts.first_text,
    charts.losses,
    charts.memory,
]
Chart = Callable[..., bytes]


def curve(run: Run) -> Curve:
    return Curve(run.name, summarise(run))


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as picture:
        picture.load()
        assert picture.format == "PNG" and picture.size == (1392, 816)
        return np.asarray(picture.convert("RGB")).astype(int)


def teal(png: bytes) -> int:
    """The number of pixels in the colour of the first run."""
    return int((abs(pixels(png) - (13, 148, 136)).sum(2) < 30).sum())


@pytest.mark.parametrize("draw", OVER_USERS)
def test_a_curve_is_drawn(draw: Chart, run_plain: Run) -> None:
    drawn = draw([curve(run_plain)])
    assert teal(drawn) > 500 or draw is charts.losses
    assert len(np.unique(pixels(drawn) @ (1 << 16, 1 << 8, 1))) > 50  # colours


@pytest.mark.parametrize("draw", [charts.latency, charts.throughput, charts.memory])
def test_published_figures_can_be_drawn(draw: Chart, run_plain: Run) -> None:
    alone, beside = (draw([curve(run_plain)], field) for field in (None, PUBLISHED))
    assert not np.array_equal(pixels(alone), pixels(beside))


@pytest.mark.parametrize("draw", OVER_USERS)
def test_charts_without_figures_have_no_line(
    draw: Chart, run_empty: Run, run_cut_short: Run
) -> None:
    assert teal(draw([curve(run_empty)])) == 0
    pixels(draw([curve(run_cut_short)]))
    run_cut_short.samples, run_cut_short.watched = [], []
    assert teal(draw([curve(run_cut_short)])) == 0


@pytest.mark.parametrize("draw", OVER_USERS)
def test_several_runs_and_hostile_names(
    draw: Chart, run_made: Callable[..., Run], run_empty: Run
) -> None:
    names = ["a", "$x_1$ \\frac{", "名字\n\t\0", "x" * 300, "", "six", "seven"]
    runs = [run_made(name=name, seed=i, seconds=40) for i, name in enumerate(names)]
    pixels(draw([curve(run) for run in (*runs, run_empty)]))


def test_one_stage_is_a_point(run_made: Callable[..., Run]) -> None:
    for draw in OVER_USERS:
        pixels(draw([curve(run_made(users=(4,), seconds=60))]))


def test_far_apart_runs_share_a_log_scale(run_made: Callable[..., Run]) -> None:
    quick = run_made(name="cached", alone_s=0.01, seconds=2)
    pixels(charts.latency([curve(run_made(seconds=60)), curve(quick)]))


def test_a_recommendation_is_marked(run_plain: Run) -> None:
    plain, marked = (charts.throughput([curve(run_plain)], None, n) for n in (None, 4))
    assert teal(marked) > teal(plain)


@pytest.mark.parametrize("figure", ["latency", "memory"])
def test_figures_over_time_are_drawn(
    figure: str, run_soak: Run, run_empty: Run
) -> None:
    assert teal(charts.over_time([run_soak], figure)) > 500
    assert teal(charts.over_time([run_empty], figure)) == 0
    pixels(charts.over_time([run_soak, run_empty], figure))


def test_drawing_leaves_no_style_behind(run_plain: Run) -> None:
    before = dict(rcParams)
    first, again = (charts.latency([curve(run_plain)]) for _ in range(2))
    assert dict(rcParams) == before and first == again
