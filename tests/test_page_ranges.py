"""Which pages of a document a question names."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from edge.documents import check_range, chosen, selected
from edge.errors import InvalidRequest


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        ("", [0, 1, 2, 3, 4]),
        ("2", [1]),
        ("4-", [3, 4]),
        ("5,1-2", [0, 1, 4]),
        ("1-3,2-9,3", [0, 1, 2, 3, 4]),
        (" 1 - 2 , 4 ", [0, 1, 3]),
        ("1-2,4,", [0, 1, 3]),
        ("１－２，４", [0, 1, 3]),
        ("1–2、4", [0, 1, 3]),
        ("4—", [3, 4]),
        ("4-999999999", [3, 4]),
    ],
)
def test_pages_are_named_as_printers_take_them(pages: str, expected: list[int]) -> None:
    check_range(pages)
    assert selected(pages, 5) == expected


def test_each_page_is_there_once_however_ranges_overlap() -> None:
    chance = random.Random(1)
    for _ in range(300):
        ranges = [sorted(chance.choices(range(1, 30), k=2)) for _ in range(4)]
        wanted = {n - 1 for first, last in ranges for n in range(first, last + 1)}
        named = ",".join(f"{first}-{last}" for first, last in ranges)
        assert selected(named, 30) == sorted(wanted)


@pytest.mark.parametrize(
    "pages", ["0", "3-2", "3-0", "a", "1,,2", "1 2", "-3", "1-2-3", ",", "1,,", "－"]
)
def test_what_names_no_pages_is_refused(pages: str) -> None:
    for read in (lambda: check_range(pages), lambda: selected(pages, 9)):
        with pytest.raises(InvalidRequest):
            read()


def test_a_range_in_the_wrong_order_is_shown_in_the_right_one() -> None:
    with pytest.raises(InvalidRequest, match=r"'3-1' ends .* Write 1-3[.]"):
        check_range("3-1, 2")


def test_a_page_that_there_is_not_is_refused() -> None:
    check_range("7")
    with pytest.raises(InvalidRequest, match="no page 7; its last page is 5"):
        selected("1-2,7", 5)


def test_a_file_that_claims_many_pages_costs_nothing() -> None:
    tracemalloc.start()
    [pages] = chosen("", 1_048_574)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(pages) == 1_048_574
    assert most < 100_000


def test_a_body_with_many_ranges_costs_nothing_before_its_file_is_opened() -> None:
    tracemalloc.start()
    check_range(",".join(["1-"] * 66))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 100_000
