"""The cost model: exact where measured, careful elsewhere, not led by outliers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.engine.costs import Costs, Curve

STEPS = {1: 35.0, 2: 39.0, 4: 50.0, 16: 68.0, 64: 160.0, 256: 590.0}


def test_nothing_is_known_before_the_first_measurement() -> None:
    assert Curve().seconds(1) is None
    assert Costs().stage.seconds(475) is None


def test_measured_costs_are_known_at_once() -> None:
    step = Costs(STEPS).step
    for size, ms in STEPS.items():
        assert step.seconds(size) == pytest.approx(ms / 1000)
    assert step.seconds(40) == pytest.approx(0.114)  # in the middle of 16 and 64
    assert step.seconds(512) == pytest.approx(1.18)


def test_smaller_work_is_not_expected_to_be_faster() -> None:
    assert Costs({}, {475: 70.0}).stage.seconds(10) == pytest.approx(0.07)


@given(st.lists(st.floats(0.05, 100), min_size=3, max_size=3), st.integers(0, 4))
def test_three_slow_ones_of_five_change_nothing(outliers, at) -> None:
    curve = Curve({1: 35.0})
    for _ in range(5):
        curve.observe(3, 0.05)
    for seconds in outliers:
        curve.observe(3, seconds)
    for _ in range(at):
        curve.observe(300, 0.6)
    assert curve.seconds(3) == pytest.approx(0.05)


def test_first_runs_that_take_seconds_do_not_rule_a_size_out() -> None:
    """On a Xeon the first step of each graph took 3 s, and one more was late: pieces of
    64 tokens, a quarter faster for each token, were never tried again."""
    curve = Curve({16: 141.0, 64: 287.0, 256: 689.0})
    for size, seconds in ((78, 2.936), (65, 0.419)):
        curve.observe(size, seconds)
    assert curve.seconds(65) < 0.45
    curve.observe(65, 0.290)
    assert curve.seconds(65) == pytest.approx(0.291, abs=0.002)


def test_a_machine_that_has_become_slower_is_noticed() -> None:
    curve = Curve({4: 50.0})
    for _ in range(5):
        curve.observe(4, 0.1)
    assert curve.seconds(4) == pytest.approx(0.1)


@given(
    st.lists(st.tuples(st.integers(1, 4000), st.floats(0, 10)), min_size=1),
    st.integers(1, 4000),
)
def test_a_prediction_lies_between_what_was_measured(measured, size) -> None:
    curve = Curve()
    for each in measured:
        curve.observe(*each)
    sizes, seconds = zip(*measured, strict=True)
    most_s = max(seconds) * max(1, size / min(sizes))
    assert 0 <= curve.seconds(size) <= most_s + 1e-9
    assert len(curve._points) <= max(sizes).bit_length()
