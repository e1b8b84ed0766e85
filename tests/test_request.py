"""Requests and answers: frozen, and unchanged after a round trip through JSON."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.request import Answer, Message, PictureRef, Request, SamplingParams
from edge.usage import Timings, Usage

quick = settings(max_examples=40)
words = st.text(max_size=8)
finite = st.floats(allow_nan=False, allow_infinity=False)
sides = st.integers(1, 9999)
pictures = st.builds(PictureRef, words, sides, sides, n_frames=st.sampled_from([1, 2]))
messages = st.builds(Message, content=st.lists(words | pictures, max_size=4).map(tuple))
sampling_params = st.builds(
    SamplingParams,
    max_tokens=...,
    temperature=finite,
    top_p=finite,
    top_k=...,
    min_p=finite,
    presence_penalty=finite,
    frequency_penalty=finite,
    seed=...,
    stop=st.lists(words, max_size=4).map(tuple),
)
requests = st.builds(
    Request, st.lists(messages, max_size=3).map(tuple), sampling_params, words
)
timings = st.builds(Timings, **{field.name: finite for field in fields(Timings)})
answers = st.builds(
    Answer,
    usage=st.builds(Usage, prompt_tokens=..., completion_tokens=...),
    timings=timings,
)

RED, BLUE = PictureRef("aa", 30, 100), PictureRef("bb", 100, 30)


def over_a_wire(data: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(data, allow_nan=False))


@quick
@given(requests)
def test_a_request_survives_json(request: Request) -> None:
    assert Request.from_json(over_a_wire(request.to_json())) == request


def test_a_worker_of_an_older_version_can_read_a_still() -> None:
    known = {"sha256", "width", "height", "is_first"}
    assert set(RED.to_json()) == known
    pair = PictureRef("cc", 30, 100, n_frames=2)
    assert set(pair.to_json()) == {*known, "n_frames"}


@quick
@given(messages)
def test_a_message_survives_json(message: Message) -> None:
    assert Message.from_json(over_a_wire(message.to_json())) == message


@quick
@given(answers)
def test_an_answer_survives_json(answer: Answer) -> None:
    assert Answer.from_json(over_a_wire(answer.to_json())) == answer


def test_an_answer_with_fewer_timings_can_be_read() -> None:
    data = Answer("Hello.", "stop", timings=Timings(e2e_ms=5)).to_json()
    del data["timings"]["prepare_ms"]
    assert Answer.from_json(data).timings == Timings(e2e_ms=5)


@quick
@given(requests)
def test_equal_requests_are_one_dictionary_key(request: Request) -> None:
    again = Request.from_json(over_a_wire(request.to_json()))
    assert hash(again) == hash(request)
    assert json.dumps(again.to_json()) == json.dumps(request.to_json())


@pytest.mark.parametrize("name", ["messages", "sampling", "model"])
def test_a_request_without_a_field_is_an_error(name: str) -> None:
    data = Request((Message("user", ("hi",)),)).to_json()
    del data[name]
    with pytest.raises(KeyError, match=name):
        Request.from_json(data)


def test_a_queued_count_of_an_older_version_is_still_a_count() -> None:
    data = Request((Message("user", ("hi",)),)).to_json()
    del data["wants"]
    assert Request.from_json(data | {"counts_only": True}).wants == "count"
    assert Request.from_json(data | {"counts_only": False}).wants == "answer"
    assert Request.from_json(data).wants == "answer"


def test_pictures_keep_order_and_repetitions() -> None:
    request = Request(
        (
            Message("user", (BLUE, "left or", RED, "right?")),
            Message("assistant", ("Left.",)),
            Message("user", ("And again:", BLUE, BLUE)),
        )
    )
    again = Request.from_json(over_a_wire(request.to_json()))
    assert again.pictures == (BLUE, RED, BLUE, BLUE)
    assert [message.pictures for message in again.messages] == [
        (BLUE, RED),
        (),
        (BLUE, BLUE),
    ]


def test_text_that_looks_like_a_picture_stays_text() -> None:
    text = json.dumps({"sha256": "aa", "width": 30, "height": 100})
    message = Message("user", (text,))
    assert Message.from_json(over_a_wire(message.to_json())) == message
    assert message.pictures == ()


@quick
@given(requests)
def test_pictures_of_a_request_are_those_of_its_messages(request: Request) -> None:
    parts = [part for message in request.messages for part in message.content]
    assert list(request.pictures) == [p for p in parts if not isinstance(p, str)]


@pytest.mark.parametrize(
    "value",
    [
        RED,
        Message("user", ("hi",)),
        SamplingParams(),
        Request((Message("user", ("hi",)),)),
        Usage(),
        Timings(),
        Answer("hi", "stop"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_are_frozen_and_hashable(value: Any) -> None:
    name = fields(value)[0].name
    with pytest.raises(FrozenInstanceError):
        setattr(value, name, None)
    assert len({value, value}) == 1


def test_the_defaults_are_greedy() -> None:
    assert SamplingParams().is_greedy
    assert Request(()).sampling == SamplingParams()
    assert not SamplingParams(temperature=0.1).is_greedy


@quick
@given(st.integers(0), st.integers(0))
def test_total_tokens_are_prompt_and_completion(prompt: int, completion: int) -> None:
    assert Usage(prompt, completion).total_tokens == prompt + completion
