"""Circles are noticed, and nothing else."""

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
def test_a_block_again_and_again_is_noticed_in_time(start, block) -> None:
    n = max(FEWEST_TOKENS, FEWEST_TIMES * len(block))
    circle = (block * n)[:n]
    assert is_stuck(start + circle)


@given(START, BLOCK)
def test_a_few_times_are_fine(start, block) -> None:
    assert not is_stuck(start + (block * FEWEST_TOKENS)[: FEWEST_TOKENS - 1])


@given(BLOCK)
def test_what_goes_on_after_a_circle_is_fine(block) -> None:
    assert not is_stuck(block * 200 + [99])


def test_a_list_of_numbers_is_no_circle() -> None:
    words = " ".join(f"{n} red circles," for n in range(500))
    tokens = list(words.encode())
    assert not any(is_stuck(tokens[:n]) for n in range(len(tokens)))


def test_a_block_longer_than_the_longest_is_left_alone() -> None:
    assert not is_stuck(list(range(LONGEST_BLOCK + 1)) * 20)
