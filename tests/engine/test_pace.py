"""Large steps for prompts alone, short pauses beside answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.engine.pace import FEWEST, PAUSE_S, Pace, rest_after


def learned(token_s: float, most: int = 256) -> Pace:
    pace = Pace(most)
    for _ in range(20):
        n = pace.budget(is_answering=True)
        pace.observe(n, n * token_s)
    return pace


def test_without_answers_a_step_is_large() -> None:
    assert learned(0.1).budget(is_answering=False) == 256


@pytest.mark.parametrize(
    ("token_s", "n_tokens"),
    [(0.0001, 256), (0.0062, 64), (0.008, 48), (0.013, 16), (1, 16)],
)
def test_a_step_fits_into_the_pause(token_s: float, n_tokens: int) -> None:
    assert learned(token_s).budget(is_answering=True) == n_tokens


@given(st.lists(st.tuples(st.integers(0, 300), st.floats(0, 10)), max_size=30))
def test_a_budget_is_always_within_its_bounds(steps) -> None:
    pace = Pace(100)
    for n_tokens, seconds in steps:
        pace.observe(n_tokens, seconds)
        assert FEWEST <= pace.budget(is_answering=True) <= 100


def test_before_the_first_measurement_steps_are_small() -> None:
    assert Pace(256).budget(is_answering=True) == FEWEST
    assert Pace(8).budget(is_answering=True) == 8


def test_small_steps_are_not_measured() -> None:
    pace = learned(PAUSE_S / 64)
    before = pace.budget(is_answering=True)
    for _ in range(50):
        pace.observe(4, 10.0)
    assert pace.budget(is_answering=True) == before


@given(st.floats(0, 10))
def test_a_rest_is_bounded(step_s: float) -> None:
    assert 0 <= rest_after(step_s) <= min(5 * step_s, 0.5)
