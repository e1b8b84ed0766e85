"""Repetition is detected, and only repetition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.engine.repetition import (
    FEWEST_TIMES,
    FEWEST_TOKENS,
    LONGEST_BLOCK,
    is_stuck,
)

BLOCK = st.lists(st.integers(0, 9), min_size=1, max_size=LONGEST_BLOCK)
START = st.lists(st.integers(10, 20), max_size=50)


@given(START, BLOCK)
def test_a_repeated_block_is_detected_in_time(start, block) -> None:
    n = max(FEWEST_TOKENS, FEWEST_TIMES * len(block))
    circle = (block * n)[:n]
    assert is_stuck(start + circle)


@given(START, BLOCK)
def test_a_few_repetitions_are_allowed(start, block) -> None:
    assert not is_stuck(start + (block * FEWEST_TOKENS)[: FEWEST_TOKENS - 1])


@given(BLOCK)
def test_an_answer_that_goes_on_after_repetitions_is_allowed(block) -> None:
    assert not is_stuck(block * 200 + [99])


def test_a_list_of_numbers_is_not_a_repetition() -> None:
    words = " ".join(f"{n} red circles," for n in range(500))
    tokens = list(words.encode())
    assert not any(is_stuck(tokens[:n]) for n in range(len(tokens)))


def test_a_block_that_is_too_long_is_allowed() -> None:
    assert not is_stuck(list(range(LONGEST_BLOCK + 1)) * 20)
