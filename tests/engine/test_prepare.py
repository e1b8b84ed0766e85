"""A conversation that is too long is refused with the numbers, or loses its oldest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.engine.prepare import prepare, without_oldest
from edge.engine.sequence import PicturePiece, TextPiece
from edge.errors import ContextLengthExceeded
from edge.images import Picture
from edge.request import Message, Request, SamplingParams
from edge.runtime.stub import StubRuntime
from edge.vision.stub import StubTower

RUNTIME, TOWER = StubRuntime(), StubTower()
PICTURE = Picture(320, 320, bytes(320 * 320 * 3))  # 100 cells
SYSTEM = Message("system", ("Be brief.",))
TALK = (
    SYSTEM,
    Message("user", (PICTURE.ref, "What is it?")),
    Message("assistant", ("A ring.",)),
    Message("user", ("Which colour?",)),
    Message("assistant", ("Red.",)),
    Message("user", ("And why?",)),
)


def prompt(messages: tuple[Message, ...], n_cells: int, truncate: bool = True):
    request = Request(messages, SamplingParams(max_tokens=10), truncate=truncate)
    return prepare(request, RUNTIME, TOWER, n_cells)


def said(sequence) -> bytes:
    texts = (p.tokens for p in sequence.pieces if isinstance(p, TextPiece))
    return bytes(token for tokens in texts for token in tokens if token < 256)


@pytest.mark.parametrize(
    ("n_cells", "n_dropped", "first"),
    [(1000, 0, b"What is it?"), (150, 2, b"Which colour?"), (60, 4, b"And why?")],
)
def test_the_oldest_turns_go_first(n_cells: int, n_dropped: int, first: bytes) -> None:
    sequence = prompt(TALK, n_cells)
    assert sequence.n_dropped == n_dropped
    assert sequence.n_cells_needed <= n_cells
    text = said(sequence)
    assert b"Be brief." in text and b"And why?" in text
    assert text.split(b"user\n")[1].startswith(first)
    has_picture = any(isinstance(p, PicturePiece) for p in sequence.pieces)
    assert has_picture == (n_dropped == 0)


def test_what_does_not_fit_even_so_is_refused_with_the_numbers() -> None:
    with pytest.raises(ContextLengthExceeded, match="at most 40"):
        prompt(TALK, 40)


def test_nothing_is_left_out_unasked() -> None:
    with pytest.raises(ContextLengthExceeded):
        prompt(TALK, 150, truncate=False)


MESSAGES = st.lists(
    st.builds(
        Message,
        st.sampled_from(["system", "user", "assistant"]),
        st.tuples(st.text("abc", min_size=1)),
    ),
    max_size=12,
).map(tuple)


@given(MESSAGES)
def test_it_comes_to_an_end_with_the_last_question(messages) -> None:
    for _ in range(len(messages) + 1):
        shorter = without_oldest(messages)
        if shorter == messages:
            break
        assert len(shorter) < len(messages)
        assert [m for m in shorter if m.role == "system"] == [
            m for m in messages if m.role == "system"
        ]
        assert shorter[-1] == messages[-1]
        messages = shorter
    assert sum(message.role == "user" for message in messages) <= 1
