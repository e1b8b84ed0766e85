"""Earlier answers are found by scope and pictures, within a bound."""

from __future__ import annotations

from edge.engine.earlier_answers import TOKENS_PER_KEY, EarlierAnswers

ONE, OTHER = ("scope", "picture"), ("another scope", "picture")


def test_texts_of_one_scope_and_picture_are_found_in_order() -> None:
    pool = EarlierAnswers(1000)
    pool.add(ONE, "first ")
    pool.add(ONE, "second")
    assert pool.get(ONE) == "first second"
    assert pool.get(OTHER) == ""


def test_the_least_recently_used_go_first() -> None:
    pool = EarlierAnswers(4 * 30)
    for n in range(3):
        pool.add((str(n),), 10 * str(n))
    pool.get(("0",))
    pool.add(("3",), 10 * "3")
    assert [bool(pool.get((str(n),))) for n in range(4)] == [True, False, True, True]


def test_neither_one_picture_nor_one_long_answer_takes_more_than_its_bound() -> None:
    pool = EarlierAnswers(4 * 2 * TOKENS_PER_KEY)
    for n in range(100):
        pool.add(ONE, f"{n:1000}")
        pool.add((str(n),), "x" * 500)
    texts = [pool.get(key) for key in (ONE, *((str(n),) for n in range(100)))]
    assert len(texts[0]) == TOKENS_PER_KEY
    assert sum(map(len, texts)) <= 2 * TOKENS_PER_KEY
    small = EarlierAnswers(400)
    small.add(ONE, "x" * 1000)
    assert small.get(ONE) == ""
