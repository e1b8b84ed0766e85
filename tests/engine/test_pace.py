"""Large bites while nobody waits, short pauses while somebody does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.engine.pace import FEWEST, PAUSE_S, Pace, language_threads, rest_after


def learnt(row_s: float, most: int = 256) -> Pace:
    pace = Pace(most)
    for _ in range(20):
        n = pace.rows(somebody_waits=True)
        pace.observe(n, n * row_s)
    return pace


def test_nobody_waits_for_a_large_bite() -> None:
    assert learnt(0.1).rows(somebody_waits=False) == 256


@pytest.mark.parametrize(
    ("row_s", "rows"), [(0.0001, 256), (0.0062, 64), (0.008, 48), (0.013, 16), (1, 16)]
)
def test_a_bite_fits_into_the_pause(row_s: float, rows: int) -> None:
    assert learnt(row_s).rows(somebody_waits=True) == rows


@given(st.lists(st.tuples(st.integers(0, 300), st.floats(0, 10)), max_size=30))
def test_a_bite_is_never_nothing_and_never_too_much(steps) -> None:
    pace = Pace(100)
    for n_rows, seconds in steps:
        pace.observe(n_rows, seconds)
        assert FEWEST <= pace.rows(somebody_waits=True) <= 100


def test_before_anything_is_known_it_is_careful() -> None:
    assert Pace(256).rows(somebody_waits=True) == FEWEST
    assert Pace(8).rows(somebody_waits=True) == 8


def test_a_step_of_answers_says_nothing_about_prompts() -> None:
    pace = learnt(PAUSE_S / 64)
    before = pace.rows(somebody_waits=True)
    for _ in range(50):
        pace.observe(4, 10.0)
    assert pace.rows(somebody_waits=True) == before


@given(st.floats(0, 10))
def test_answers_rest_beside_the_tower_and_go_on(step_s: float) -> None:
    assert 0 <= rest_after(step_s) <= min(5 * step_s, 0.5)


@pytest.mark.parametrize(("n", "beside"), [(1, 1), (2, 1), (3, 2), (4, 2), (16, 8)])
def test_the_tower_leaves_half_the_cores(n: int, beside: int) -> None:
    assert language_threads(n, tower_works=False) == n
    assert language_threads(n, tower_works=True) == beside
