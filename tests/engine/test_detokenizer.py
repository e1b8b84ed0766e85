"""The text does not depend on how its bytes are split into tokens."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edge.engine.detokenizer import Detokenizer

CUTS = st.lists(st.integers(0, 200), max_size=20)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(c for c in cuts if c < len(data))})
    return [data[a:b] for a, b in pairwise(edges)]


def shown(data: bytes, cuts: list[int], stop: tuple[str, ...] = ()) -> str:
    detokenizer = Detokenizer(stop)
    text = "".join(detokenizer.feed(piece) for piece in pieces(data, cuts))
    text += detokenizer.flush()
    assert detokenizer.text == text
    return text


@given(st.text(), CUTS)
def test_text_is_the_same_however_it_is_split(text: str, cuts: list[int]) -> None:
    assert shown(text.encode(), cuts) == text


@given(st.text(), CUTS)
def test_incomplete_characters_are_held_back(text: str, cuts: list[int]) -> None:
    detokenizer = Detokenizer()
    for piece in pieces(text.encode(), cuts):
        assert "\ufffd" not in detokenizer.feed(piece) or "\ufffd" in text


@given(st.text("ab", max_size=30), st.text("ab", min_size=1, max_size=3), CUTS)
def test_a_stop_string_is_found_however_it_is_split(text, stop, cuts) -> None:
    assert shown(text.encode(), cuts, (stop,)) == text.partition(stop)[0]


def test_the_earliest_of_several_stop_strings_ends_the_text() -> None:
    assert shown(b"one two three", [], ("three", "two")) == "one "


def test_the_possible_beginning_of_a_stop_string_is_held_back() -> None:
    detokenizer = Detokenizer(("END",))
    assert detokenizer.feed(b"the E") == "the "
    assert detokenizer.feed(b"N") == ""
    assert detokenizer.feed(b"try") == "ENtry"
    assert not detokenizer.stopped_by


def test_a_stop_string_may_come_too_early_to_count() -> None:
    """As in vLLM: it counts if its last character is not in the first tokens."""
    detokenizer = Detokenizer(("END", "an"))
    assert detokenizer.feed(b"an END", may_stop=False) == "an END"
    assert detokenizer.feed(b" of E", may_stop=False) == " of "
    assert detokenizer.feed(b"ND", may_stop=True) == ""
    assert (detokenizer.text, detokenizer.stopped_by) == ("an END of ", "END")


def test_no_text_follows_a_stop_string() -> None:
    detokenizer = Detokenizer(("\n",))
    assert detokenizer.feed(b"line\nmore") == "line"
    assert detokenizer.stopped_by == "\n"
    assert detokenizer.feed(b"more") == detokenizer.flush() == ""


def test_a_character_that_is_cut_off_is_left_out() -> None:
    assert shown(b"ok \xe5\xa5", []) == "ok "


def test_invalid_bytes_are_replaced() -> None:
    assert shown(b"\xe5\xa5 ok\xff", []) == "\ufffd ok\ufffd"
