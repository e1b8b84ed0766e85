"""Large pieces for prompts alone, pieces and stages within the pause beside answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.engine.costs import Costs
from edge.engine.pace import PAUSE_S, PIECE, Pace


def learned(fixed_s: float, token_s: float, most: int = 256) -> Pace:
    """On a machine whose steps take `fixed_s`, and `token_s` for each token."""
    pace, now = Pace(Costs(), most), 0.0
    for n_answers in (1, *range(2, 12), *[3] * 10):
        n_tokens = n_answers + pace.piece(now, n_answers, beside=False)
        seconds = fixed_s + n_tokens * token_s
        now += seconds
        pace.observe_step(n_tokens, seconds, now, beside=False)
    pace.observe_step(3, fixed_s + 3 * token_s, 0.0, beside=False)
    return pace


def test_without_answers_a_piece_is_a_chunk() -> None:
    assert learned(1.0, 0.1).piece(0.0, 0, beside=False) == 256


@pytest.mark.parametrize(
    ("fixed_s", "token_s", "n_tokens"),
    [(0.03, 0.0001, 256), (0.03, 0.0023, 112), (0.1, 0.006, 16), (1.0, 1.0, 16)],
)
def test_a_piece_fits_into_the_pause(fixed_s, token_s, n_tokens) -> None:
    assert learned(fixed_s, token_s).piece(0.0, 3, beside=False) == n_tokens


def test_a_piece_fits_into_what_is_left_of_the_pause() -> None:
    pace = learned(0.03, 0.0023)
    sizes = [pace.piece(now, 3, beside=False) for now in (0.0, 0.1, 0.2, 0.4)]
    assert sizes == [112, 64, 16, 16]


def test_a_piece_does_not_waste_a_kernel_that_computes_32_tokens_at_a_time() -> None:
    steps = {n: 40.0 * (n // 32 + 1) for n in (1, 31, 32, 63, 64, 95, 96, 127)}
    pace = Pace(Costs(), 96)
    for n, ms in steps.items():
        pace.observe_step(n, ms / 1000, 0.0, beside=False)
    assert pace.piece(0.0, 1, beside=False) in (80, 96)


@given(st.lists(st.tuples(st.integers(1, 300), st.floats(0.001, 10)), max_size=30))
def test_a_piece_is_always_within_its_bounds(steps) -> None:
    pace = Pace(Costs(), 100)
    for n_tokens, seconds in steps:
        pace.observe_step(n_tokens, seconds, 0.0, beside=False)
        for now in (0.0, 1.0):
            assert PIECE <= pace.piece(now, 2, beside=False) <= 100


def test_before_the_first_measurement_pieces_are_small() -> None:
    assert Pace(Costs(), 256).piece(0.0, 1, beside=False) == PIECE
    assert Pace(Costs(), 8).piece(0.0, 1, beside=False) == 8


def test_steps_beside_the_encoder_have_costs_of_their_own() -> None:
    pace = learned(0.03, 0.001)
    for _ in range(5):
        pace.observe_step(20, 0.2, 0.0, beside=True)
    assert pace.piece(0.0, 3, beside=True) == PIECE
    assert pace.piece(0.0, 3, beside=False) == 256
    assert pace.left_s(0.0, 20, beside=True) == pytest.approx(PAUSE_S - 0.2)


@given(st.floats(0.001, 1), st.floats(0.001, 1), st.integers(1, 4))
def test_stages_and_a_step_stay_within_the_pause_or_are_one(
    step_s, stage_s, n_answers
) -> None:
    pace = Pace(Costs({1: 1000 * step_s}, {475: 1000 * stage_s}), 256)
    pace.observe_step(n_answers, step_s, 0.0, beside=False)
    now, n_stages = 0.0, 0
    while pace.allows_stage(now, n_answers, 475):
        now += stage_s
        n_stages += 1
        pace.observe_stage(475, stage_s)
    assert n_stages >= 1
    assert n_stages == 1 or now + step_s <= PAUSE_S + 1e-9


def test_a_prompt_waits_for_the_next_step_when_stages_have_used_the_pause() -> None:
    pace = Pace(Costs({1: 95.0, 16: 140.0, 64: 290.0}, {475: 83.0}), 256)
    pace.observe_step(1, 0.095, 0.0, beside=False)
    assert pace.allows_stage(0.0, 1, 475)
    pace.observe_stage(475, 0.083)
    assert pace.allows_stage(0.083, 1, 475)
    pace.observe_stage(475, 0.083)
    assert not pace.allows_stage(0.166, 1, 475)
    assert pace.piece(0.166, 1, beside=False, may_wait=True) == 0
    assert pace.piece(0.166, 1, beside=False) == PIECE
    pace.observe_step(1, 0.095, 0.261, beside=False)
    assert pace.piece(0.261, 1, beside=False, may_wait=True) > PIECE
