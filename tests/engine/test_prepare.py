"""A conversation that is too long is refused, or loses its oldest messages."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.conversation import CHARS_PER_TOKEN, trim
from edge.engine.prepare import prepare
from edge.engine.sequence import PicturePiece, Sequence, TextPiece
from edge.errors import Cancelled, ContextLengthExceeded
from edge.images import Picture
from edge.qwen3vl.chat import Template, render
from edge.request import Message, PictureRef, Request, SamplingParams
from edge.stubs.runtime import StubRuntime
from edge.stubs.vision import StubTower

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


def prepared(
    request: Request,
    runtime: StubRuntime,
    n_cells: int,
    is_wanted: Callable[[], bool] = lambda: True,
) -> Sequence:
    runtime.n_cells = n_cells
    return prepare(request, runtime, TOWER, is_wanted)


def prompt(messages: tuple[Message, ...], n_cells: int, truncate: bool = True):
    request = Request(messages, SamplingParams(max_tokens=10), truncate=truncate)
    return prepared(request, RUNTIME, n_cells)


def text_of(sequence) -> bytes:
    texts = (p.tokens for p in sequence.pieces if isinstance(p, TextPiece))
    return bytes(token for tokens in texts for token in tokens if token < 256)


@pytest.mark.parametrize(
    ("n_cells", "n_dropped", "first"),
    [(1000, 0, b"What is it?"), (150, 2, b"Which colour?"), (60, 4, b"And why?")],
)
def test_the_oldest_messages_are_left_out_first(
    n_cells: int, n_dropped: int, first: bytes
) -> None:
    sequence = prompt(TALK, n_cells)
    assert sequence.n_dropped == n_dropped
    assert sequence.n_cells_needed <= n_cells
    text = text_of(sequence)
    assert b"Be brief." in text and b"And why?" in text
    assert text.split(b"user\n")[1].startswith(first)
    has_picture = any(isinstance(p, PicturePiece) for p in sequence.pieces)
    assert has_picture == (n_dropped == 0)


def test_a_prompt_that_does_not_fit_is_refused_with_the_numbers() -> None:
    with pytest.raises(
        ContextLengthExceeded, match="length is 40 tokens, and your messages have"
    ):
        prompt(TALK, 40)


def test_nothing_is_left_out_unless_requested() -> None:
    with pytest.raises(ContextLengthExceeded):
        prompt(TALK, 150, truncate=False)


def test_an_answer_has_what_the_prompt_leaves_of_the_context() -> None:
    asked = Request(TALK[-1:], SamplingParams(max_tokens=10_000))
    found = prepared(asked, RUNTIME, 100)
    assert found.sampling.max_tokens == 100 - found.n_prompt + 1
    assert found.n_cells_needed == 100


def test_a_long_answer_leaves_half_of_the_context_to_old_messages() -> None:
    asked = Request(TALK, SamplingParams(max_tokens=10_000), truncate=True)
    assert prepared(asked, RUNTIME, 320).n_dropped == 2
    assert prepared(asked, RUNTIME, 600).n_dropped == 0


@pytest.mark.parametrize("truncate", [False, True])
@pytest.mark.parametrize("system", ["", "Be brief.\n\n"])
def test_tools_that_need_not_be_called_are_left_out_first(
    truncate: bool, system: str
) -> None:
    tools = "<tools>" + "x" * 200
    talk = (Message("system", (system + tools,)), TALK[-1])
    sampling = SamplingParams(max_tokens=20)
    asked = Request(talk, sampling, truncate=truncate, n_spare=len(tools))
    assert not prepared(asked, RUNTIME, 600).dropped_tools
    found = prepared(asked, RUNTIME, 250)
    assert found.dropped_tools
    assert (b"Be brief." in text_of(found)) is bool(system)
    assert b"tools" not in text_of(found)
    assert (b"system" in text_of(found)) is bool(system)
    assert prepared(Request.from_json(asked.to_json()), RUNTIME, 250).dropped_tools


MESSAGES = st.lists(
    st.builds(
        Message,
        st.sampled_from(["system", "user", "assistant"]),
        st.tuples(st.text("abc")) | st.tuples(st.text("abc"), st.just(PICTURE.ref)),
    ),
    max_size=12,
).map(tuple)


def without_oldest(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """A conversation without its oldest question and its answer."""
    asked = [n for n, message in enumerate(messages) if message.role == "user"]
    if len(asked) < 2:
        return messages
    second = asked[1]
    kept = (m for m in messages[:second] if m.role == "system")
    return (*kept, *messages[second:])


def plainly(messages: tuple[Message, ...], n_cells: int, n_answer: int):
    """What `prepare` must give, in quadratic time: the tokens and how many messages
    were left out, or None."""
    kept, room = messages, n_cells - min(n_answer, max(1, n_cells // 2)) + 1
    while True:
        tokens: list[int] = []
        for part in render(kept):
            if isinstance(part, PictureRef):
                rows, columns = TOWER.grid(part.width, part.height)
                tokens += [part.sha256] * (rows * columns)
            else:
                special = isinstance(part, Template)
                tokens += RUNTIME.tokenize(part.text, special=special)
        shorter = without_oldest(kept)
        if len(tokens) <= room or (shorter == kept and len(tokens) <= n_cells):
            return tokens, len(messages) - len(kept)
        if shorter == kept:
            return None
        kept = shorter


@given(MESSAGES, st.integers(1, 400), st.integers(1, 60))
def test_the_newest_messages_that_fit_stay(messages, n_cells, n_answer) -> None:
    request = Request(messages, SamplingParams(max_tokens=n_answer), truncate=True)
    expected = plainly(messages, n_cells, n_answer)
    try:
        found = prepared(request, RUNTIME, n_cells)
    except ContextLengthExceeded:
        assert expected is None
    else:
        # its first cell tells the scope too
        assert expected is not None
        tokens, n_dropped = expected
        assert found.content[1:] == tokens[1:]
        assert (found.n_prompt, found.n_dropped) == (len(tokens), n_dropped)
        n_left = n_cells - len(tokens) + 1
        assert found.sampling.max_tokens == min(n_answer, n_left)


@given(MESSAGES, st.integers(1, 400))
def test_trimming_twice_is_as_trimming_once(messages, n_cells) -> None:
    """The web process does so by characters."""
    request = Request(messages, SamplingParams(max_tokens=5), truncate=True)
    try:
        found = prepared(request, RUNTIME, n_cells)
    except ContextLengthExceeded:
        return
    again = prepared(trim(request, n_cells), RUNTIME, n_cells)
    assert (again.content, again.n_dropped) == (found.content, found.n_dropped)


class CountingRuntime(StubRuntime):
    """Counts what it is asked to tokenise."""

    n_chars = 0

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        self.n_chars += len(text)
        return super().tokenize(text, special=special)


def long_talk(n_messages: int, n_chars: int) -> tuple[Message, ...]:
    roles = ("user", "assistant")
    return tuple(
        Message(roles[n % 2], (f"{n} ".ljust(n_chars, "x"),)) for n in range(n_messages)
    )


@pytest.mark.parametrize("truncate", [True, False])
@pytest.mark.parametrize(
    "messages",
    [long_talk(999, 1000), long_talk(999, 30_000), long_talk(1, 200_000), TALK * 150],
    ids=["1 MB", "30 MB", "one text", "pictures"],
)
def test_no_more_is_tokenised_than_can_fit(messages, truncate: bool) -> None:
    runtime, n_cells = CountingRuntime(), 8192
    request = Request(messages, SamplingParams(max_tokens=10), truncate=truncate)
    with suppress(ContextLengthExceeded):
        prepared(request, runtime, n_cells)
    assert runtime.n_chars <= 2 * CHARS_PER_TOKEN * n_cells


def test_a_prompt_with_too_many_characters_is_not_tokenised() -> None:
    runtime = CountingRuntime()
    request = Request(long_talk(1, 200_000), SamplingParams(10))
    with pytest.raises(ContextLengthExceeded, match=r"1000 tokens.*200,000 characters"):
        prepared(request, runtime, 1000)
    assert runtime.n_chars == 0


def test_preparing_ends_when_it_is_not_wanted() -> None:
    runtime, n_left = CountingRuntime(), 3

    def is_wanted() -> bool:
        nonlocal n_left
        n_left -= 1
        return n_left >= 0

    request = Request(long_talk(99, 50), SamplingParams(10), truncate=True)
    with pytest.raises(Cancelled):
        prepared(request, runtime, 8192, is_wanted)
    assert runtime.n_chars < 3 * 100


def test_it_says_of_how_many_pictures_it_has_read_the_first() -> None:
    first = replace(PICTURE.ref, is_first=True)
    asked = [Message("user", ("?", ref)) for ref in (first, PICTURE.ref, first)]
    request = Request(tuple(asked), SamplingParams(max_tokens=4), truncate=True)
    assert prepared(request, RUNTIME, 4000).n_first == 2
    n_last = prepared(replace(request, messages=tuple(asked[2:])), RUNTIME, 4000)
    shortened = prepared(request, RUNTIME, n_last.n_prompt + 4)
    assert (shortened.n_dropped, shortened.n_first) == (2, 1)
