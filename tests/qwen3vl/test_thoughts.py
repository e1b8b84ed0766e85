"""Thoughts are found however an answer is divided into pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.qwen3vl.call_reader import Called, PartReader, Text, Thoughts
from edge.qwen3vl.thoughts import without_thoughts

CUTS = st.lists(st.integers(0, 60), max_size=8)


def read(text: str, cuts: list[int] = []) -> tuple[str, str]:  # noqa: B006
    """The thoughts and the text of an answer that comes in pieces."""
    reader = PartReader(has_tools=False)
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    found = [part for a, b in pairwise(places) for part in reader.feed(text[a:b])]
    found += reader.end()
    kinds = [type(part) for part in found]
    assert kinds == sorted(kinds, key=lambda kind: kind is Text)  # thoughts come first
    return (
        "".join(part.text for part in found if isinstance(part, Thoughts)),
        "".join(part.text for part in found if isinstance(part, Text)),
    )


ANSWERS = {
    "<think>\nRed or blue?\n\nRed.\n</think>\n\nIt is red.": (
        "Red or blue?\n\nRed.",
        "It is red.",
    ),
    "<think>\n\n</think>\n\nIt is red.": ("", "It is red."),
    "<think>\nI think </thin ends nothing": ("I think </thin ends nothing", ""),
    "<think>cut off </th": ("cut off </th", ""),
    "<think>\nall</think>": ("all", ""),
    "It is <think>red</think>.": ("", "It is <think>red</think>."),
    "<thin": ("", "<thin"),
    " 3 < 4 ": ("", " 3 < 4 "),
    "": ("", ""),
    "<think>a</think>b</think>c": ("a", "b</think>c"),
}


@pytest.mark.parametrize(("answer", "parts"), ANSWERS.items(), ids=range(len(ANSWERS)))
@given(cuts=CUTS)
def test_thoughts_are_split_off(
    answer: str, parts: tuple[str, str], cuts: list[int]
) -> None:
    assert read(answer, cuts) == parts


def test_calls_follow_thoughts() -> None:
    call = '<tool_call>\n{"name": "look", "arguments": {}}\n</tool_call>'
    reader = PartReader(has_tools=True)
    found = reader.feed(f"<think>\nLook <tool_call>?\n</think>\n\n{call}")
    assert found[:2] == [Thoughts("Look <tool_call>?"), Called(0, "look")]
    assert reader.n_calls == 1


@pytest.mark.parametrize(("answer", "parts"), ANSWERS.items(), ids=range(len(ANSWERS)))
def test_later_prompts_have_no_thoughts(answer: str, parts: tuple[str, str]) -> None:
    is_cut_off = answer.startswith("<think>") and "</think>" not in answer
    assert without_thoughts(answer) == (answer if is_cut_off else parts[1])
