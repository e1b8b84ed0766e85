"""Repetition is detected, and only repetition: real tables and lists go on."""

from __future__ import annotations

import re

import pytest
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


def no_text(_: int) -> bytes:
    return b"x"


@given(START, BLOCK)
def test_a_repeated_block_is_detected_in_time(start, block) -> None:
    n = max(FEWEST_TOKENS, FEWEST_TIMES * len(block))
    circle = (block * n)[:n]
    assert is_stuck(start + circle, no_text)


@given(START, BLOCK)
def test_a_few_repetitions_are_allowed(start, block) -> None:
    assert not is_stuck(start + (block * FEWEST_TOKENS)[: FEWEST_TOKENS - 1], no_text)


@given(BLOCK)
def test_an_answer_that_goes_on_after_repetitions_is_allowed(block) -> None:
    assert not is_stuck(block * 200 + [99], no_text)


def test_a_block_that_is_too_long_is_allowed() -> None:
    assert not is_stuck(list(range(LONGEST_BLOCK + 1)) * 20, no_text)


# --- texts, in tokens about as long as those of Qwen -------------------------------

TOKEN = re.compile(r" ?[A-Za-z]+|\d|[^\sA-Za-z\d]{1,3}|\s+?(?=\S)|\s")


def stuck_at(text: str) -> float:
    """The share of a text after which its answer would be ended; 1: it is not."""
    pieces = TOKEN.findall(text)
    names = {piece: n for n, piece in enumerate(dict.fromkeys(pieces))}
    texts = [piece.encode() for piece in names]
    tokens = [names[piece] for piece in pieces]
    for n in range(1, len(tokens) + 1):
        if is_stuck(tokens[:n], lambda token: texts[token]):
            return n / len(tokens)
    return 1.0


def rows(*kinds: str, n: int) -> str:
    return "".join(kinds[i % len(kinds)].format(i=i, square=i * i) for i in range(n))


REAL = {
    "a table": "| n | square | note |\n|---|---|---|\n"
    + rows("| {i} | {square} | even |\n", "| {i} | {square} | odd |\n", n=120),
    "empty rows of a form": "| Name | Date | Signature |\n|---|---|---|\n"
    + rows("|  |  |  |\n", n=35),
    "a wide header": "| a " * 60 + "|\n" + "|---" * 60 + "|\n" + "| 1 " * 60 + "|",
    "zeros": rows("| Jan {i} | 0 | 0 | 0 | 0 | 0 | 0 |\n", n=60),
    "a matrix of zeros": rows("0,0,0,0,0,0,0,0\n", n=25),
    "CSV with equal lines": "item,price\n" + rows("Screw M4,0.10,1\n", n=30),
    "a receipt": "Water 0.49\n" + rows("Deposit 0.25\n", n=36) + "TOTAL 9.49",
    "an HTML table": "<table>"
    + rows("<tr><td></td><td></td><td></td></tr>\n", n=20)
    + "</table>",
    "a compact HTML table": rows("<tr><td></td><td></td><td></td></tr>", n=40),
    "compact HTML with zeros": rows("<tr><td>Jan</td><td>0</td><td>0</td></tr>", n=40),
    "CSV with blanks": rows("N/A, N/A, N/A\n", n=60),
    "CSV with blanks and numbers": rows("Screw M4, none, 0.10, EUR\n", n=60),
    "a LaTeX table": r"& & & & \\ \hline" "\n" * 60,
    "compact LaTeX": r"0 & 0 & 0 \\ " * 60,
    "wide rows of a month": rows("| 0" * 20 + " |\n", n=31),
    "a form with boxes": rows("☐ yes ☐ no\n", n=60),
    "a list": rows("- an empty chair\n", n=35),
    "a numbered list": rows("{i}. a red circle\n", n=200),
    "a list of numbers": rows("{i} red circles, ", n=500),
    "boxes": rows('\t{{"bbox_2d": [{i}, {square}, 90, 95], "label": "key"}},\n', n=80),
    "a table of contents": rows("Chapter {i} ................ {square}\n", n=60),
    "a poem": ("row, row, row your boat\ngently down the stream\n" * 3),
}


@pytest.mark.parametrize("text", REAL.values(), ids=REAL)
def test_a_real_text_is_not_cut(text: str) -> None:
    assert stuck_at(text) == 1.0


LOOPS = {
    "a sentence": "The picture shows a red circle on a white background. ",
    "a sentence in lines": "The picture shows a red circle.\n",
    "two sentences": "It is red. It is not blue. ",
    "a paragraph": " ".join(f"word{chr(97 + n % 26)}" for n in range(120)) + "\n\n",
    "a word": " the",
    "the same box": '\t{"bbox_2d": [10, 20, 90, 95], "label": "key"},\n',
    "the same box, compact": '{"bbox_2d":[10,20,90,95],"label":"key"},',
    "an empty row": "|  |  |  |\n",
    "a rule": "---|",
    "a row": "| Screw M4 | 0.10 | 1 |\n",
    "a row of HTML": "<tr><td></td><td></td><td></td></tr>",
    "a row of CSV": "N/A, N/A, N/A\n",
    "a row of LaTeX": r"& & & & \\ \hline" "\n",
    "a wide row": "| 0" * 13 + " |\n",
    "a line with a comma": "There is a red circle, and it is not blue.\n",
    "an item": "- a red circle\n",
    "a line of a receipt": "Deposit 0.25\n",
    "line breaks": "\n",
    "zeros": "0",
}


@pytest.mark.parametrize("block", LOOPS.values(), ids=LOOPS)
def test_a_loop_is_cut(block: str) -> None:
    """Within 2,048 tokens, what a ready task may write."""
    n_times = 2048 // len(TOKEN.findall(block)) + 1
    assert stuck_at("Here it is:\n" + block * n_times) < 0.7
