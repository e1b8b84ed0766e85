"""Earlier answers are found by scope and pictures, within a bound."""

from __future__ import annotations

import tracemalloc
from hashlib import sha256

import pytest

from edge.engine.earlier_answers import TOKENS_PER_KEY, EarlierAnswers

ONE, OTHER = ("scope", "picture"), ("another scope", "picture")


def test_texts_of_one_scope_and_picture_are_found_in_order() -> None:
    pool = EarlierAnswers(10_000)
    pool.add(ONE, "first ")
    pool.add(ONE, "second")
    assert pool.get(ONE) == "first second"
    assert pool.get(OTHER) == ""


def test_the_least_recently_used_go_first() -> None:
    pool = EarlierAnswers(3500)
    for n in range(3):
        pool.add((str(n),), 800 * str(n))
    pool.get(("0",))
    pool.add(("3",), 800 * "3")
    assert [bool(pool.get((str(n),))) for n in range(4)] == [True, False, True, True]


def test_neither_one_picture_nor_one_long_answer_takes_more_than_its_bound() -> None:
    pool = EarlierAnswers(2 * TOKENS_PER_KEY)
    for n in range(100):
        pool.add(ONE, f"{n:1000}")
        pool.add((str(n),), "x" * 500)
    texts = [pool.get(key) for key in (ONE, *((str(n),) for n in range(100)))]
    assert len(texts[0]) == TOKENS_PER_KEY
    assert sum(map(len, texts)) <= 2 * TOKENS_PER_KEY
    small = EarlierAnswers(1000)
    small.add(ONE, "x" * 1000)
    assert small.get(ONE) == ""


@pytest.mark.parametrize("n_pictures", [0, 1, 4])
@pytest.mark.parametrize("n_tokens", [1, 8, 64, 1000])
def test_many_short_answers_take_no_more_memory_than_a_few_long_ones(
    n_pictures: int, n_tokens: int
) -> None:
    most = 1 << 20
    tracemalloc.start()
    try:
        pool = EarlierAnswers(most)
        for n in range(10_000):
            pictures = (
                sha256(b"%d %d" % (n, i)).hexdigest() for i in range(n_pictures)
            )
            pool.add(
                (f"{n:032}", *pictures), "\N{CJK UNIFIED IDEOGRAPH-4E00}" * n_tokens
            )
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.5 * most < taken < 1.05 * most
