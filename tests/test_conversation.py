"""Truncating a conversation that is too long, by characters alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.conversation import (
    CHARS_PER_TOKEN,
    MOST_TOGETHER,
    least_tokens,
    newest,
    trim,
)
from edge.errors import ContextLengthExceeded
from edge.qwen3vl.preprocess import grid
from edge.request import Message, PictureRef, Request, SamplingParams

SYSTEM = Message("system", ("Be brief.",))
REF = PictureRef("0" * 64, 32, 32)
ROLES = st.sampled_from(["system", "user", "assistant"])
MESSAGES = st.lists(
    st.builds(Message, ROLES, st.tuples(st.text("a", max_size=99), st.just(REF))),
    min_size=1,
    max_size=15,
).map(tuple)


def turns(n: int, n_chars: int = 10) -> tuple[Message, ...]:
    return tuple(Message("user", ("x" * n_chars,)) for _ in range(n))


def request(messages: tuple[Message, ...], *, truncate: bool = True) -> Request:
    return Request(messages, SamplingParams(max_tokens=1), truncate=truncate)


@given(MESSAGES, st.integers(-5, 100))
def test_no_more_turns_than_necessary_are_dropped(messages, room: int) -> None:
    kept = newest(messages, least_tokens, room)
    questions = [n for n, m in enumerate(messages) if m.role == "user"]
    begins = [0, *questions[1:]]
    legal = [
        (*(m for m in messages[:begin] if m.role == "system"), *messages[begin:])
        for begin in begins
    ]
    fitting = [one for one in legal if sum(map(least_tokens, one)) <= room]
    assert kept == (fitting[0] if fitting else legal[-1])


@given(st.lists(ROLES, max_size=15), st.integers(0, 15))
def test_each_message_is_measured_once_at_most(roles: list, room: int) -> None:
    messages = tuple(Message(role, (str(n),)) for n, role in enumerate(roles))
    measured: list[Message] = []

    def size(message: Message) -> int:
        measured.append(message)
        return 1

    newest(messages, size, room)
    assert len(measured) == len(set(measured))


def test_an_answer_is_no_longer_than_the_context() -> None:
    asked = request(turns(1))
    long = replace(asked, sampling=SamplingParams(max_tokens=2**31 - 1))
    assert trim(long, 10).sampling.max_tokens == 10
    assert trim(asked, 10).sampling == asked.sampling


def test_messages_dropped_before_are_counted() -> None:
    once = trim(request((SYSTEM, *turns(100))), 10)
    assert once.messages == (SYSTEM, *turns(15))
    assert once.n_dropped == 85
    again = trim(once, 5)
    assert (len(again.messages), again.n_dropped) == (1 + 7, 93)


def test_a_request_carries_its_number_of_dropped_messages() -> None:
    trimmed = trim(request(turns(100)), 10)
    assert Request.from_json(trimmed.to_json()) == trimmed


def test_nothing_is_left_out_unasked_or_of_an_unknown_context() -> None:
    long = request(turns(100), truncate=False)
    assert trim(request(turns(100)), None) == request(turns(100))
    assert trim(long, 1000) == long
    with pytest.raises(ContextLengthExceeded, match="1,000 characters"):
        trim(long, 10)


def test_tools_that_need_not_be_called_are_left_out() -> None:
    tools = "x" * 1000
    messages = (Message("system", ("Be brief." + tools,)), *turns(1))
    asked = replace(request(messages, truncate=False), n_spare=len(tools))
    assert trim(asked, 1000).messages == messages
    found = trim(asked, 10)
    assert found.messages == (Message("system", ("Be brief.",)), *turns(1))
    assert (found.dropped_tools, found.n_spare) == (True, 0)
    assert trim(found, 10) == found


def test_a_text_that_may_fit_is_left_to_the_tokenizer() -> None:
    longest = request(turns(1, CHARS_PER_TOKEN * 10))
    assert trim(longest, 10) == longest
    with pytest.raises(ContextLengthExceeded):
        trim(request(turns(1, CHARS_PER_TOKEN * 10 + 1)), 10)


def test_pictures_that_never_fit_are_refused_or_left_out() -> None:
    large = PictureRef("1" * 64, 320, 320)  # 100 image tokens
    asked = request((*turns(1), Message("user", (large,)), *turns(1)))
    assert trim(asked, 100).messages == turns(1)
    assert trim(asked, 102) == asked
    alone = request((Message("user", (large,)),))
    assert trim(alone, 100) == alone
    with pytest.raises(ContextLengthExceeded, match="and 100 image tokens"):
        trim(alone, 99)


def test_many_prompts_are_bounded_together() -> None:
    begins = (Message("system", ("Judge.",)), Message("user", ("A query",)))
    document = Message("user", ("x" * CHARS_PER_TOKEN * 1000,))
    n_most = MOST_TOGETHER // 1001
    asked = replace(request(begins), wants="score")
    trim(replace(asked, messages=(*begins, *[document] * n_most)), 2000)
    with pytest.raises(ContextLengthExceeded, match=f"from number {n_most} on"):
        trim(replace(asked, messages=(*begins, *[document] * (n_most + 1))), 2000)


@given(st.integers(64, 4096), st.data())
def test_no_picture_is_taken_for_larger_than_it_is(
    most: int, data: st.DataObject
) -> None:
    """As large as the decoder may make it for an encoder of `most` tokens."""
    width = data.draw(st.integers(1, 4096))
    height = data.draw(st.integers(1, most * 1024 // width))
    rows, columns = grid(width, height, 4, most)
    ref = PictureRef("0" * 64, width, height)
    assert least_tokens(Message("user", (ref,))) <= rows * columns
