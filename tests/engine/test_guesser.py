"""Guesses come from what followed the same tokens before, and their share is known."""

from __future__ import annotations

import pytest

from edge.engine.guesser import SEPARATOR, Guesser, as_text, no_rates
from edge.engine.step import MOST_GUESSED

END = 99


def guesser(*texts: list[int]) -> Guesser:
    return Guesser(SEPARATOR.join(map(as_text, texts)), [END])


def test_a_text_goes_on_as_where_its_latest_tokens_occurred() -> None:
    one = guesser([1, 2, 3, 4, 5, 6, 7], [8])
    one.observe([2, 3, 4])
    assert one.guesses == (5, 6, 7)  # and not into the next text
    one.observe([5, 9])
    assert one.guesses == ()  # 9 is new


def test_fewer_tokens_are_enough_if_there_are_no_more() -> None:
    one = guesser([1, 2, 3, 4], [5, 3, 6], [8])
    one.observe([2, 3])
    assert one.guesses == (4,)  # as behind 2, 3, and not as where 3 occurred last
    one.observe([3])
    assert one.guesses == (3,)


def test_guesses_behind_few_tokens_have_the_rate_of_all_answers() -> None:
    rates = no_rates()
    for _ in range(200):
        one = Guesser(as_text([1, 2, 3]), [END], rates)
        one.observe([1])
        assert (one.guesses, one.rate) == ((2, 3, 1), rates[1])
        one.observe([2, 9])  # a right one behind 1, a wrong one behind 1, 2
    assert rates[1] > 0.9
    assert rates[0] == rates[2] == 0


def test_the_latest_occurrence_counts() -> None:
    one = guesser([1, 2, 3, 4, 50], [2, 3, 4, 60], [9])
    one.observe([2, 3, 4])
    assert one.guesses == (60,)


def test_token_numbers_may_be_surrogates_and_large() -> None:
    one = guesser([0, 0xD800, 0xDFFF, 151_935, 7], [0, 0xD800, 0xDFFF])
    one.observe([151_935])
    assert one.guesses == (7,)


def test_a_guess_is_short_and_has_no_end() -> None:
    one = guesser([1, 2, 3, *range(10, 40)], [1])
    one.observe([2, 3])
    assert one.guesses == tuple(range(10, 10 + MOST_GUESSED))
    one = guesser([1, 2, 3, 4, END, 5], [1])
    one.observe([2, 3])
    assert one.guesses == (4,)


def test_right_guesses_raise_the_rate_and_wrong_ones_lower_it() -> None:
    one = guesser([*range(60)], [10])
    assert one.rate == 0
    rates = []
    for token in range(11, 30):  # nothing was computed: they are compared all the same
        one.observe([token])
        rates.append(one.rate)
    assert rates == sorted(rates)
    assert rates[-1] > 0.9
    for n in range(20):
        one.observe([100 + n])
        one.observe([17, 18, 19])
    assert one.rate < 0.1


def test_tokens_behind_a_wrong_guess_do_not_count() -> None:
    one = guesser([1, 2, 3, 4, 5, 6, 7], [1])
    one.observe([2, 3])
    one.observe([4, 9, 6, 7])  # a right guess, a wrong one, two of no meaning
    one.observe([2, 3, 4])
    assert one.rate == pytest.approx(0.15 * 0.85)
