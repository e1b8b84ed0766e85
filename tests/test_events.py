"""Events: one line of JSON each, restored unchanged, failures with their class."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import DeadlineExceeded, EdgeError, InvalidPicture, QueueFull
from edge.events import (
    Accepted,
    Embedded,
    Encoding,
    Event,
    Failed,
    Finished,
    Prefilling,
    Queued,
    Retried,
    Started,
    Token,
    from_json,
    to_json,
)
from edge.logprobs import TokenLogprob
from edge.request import Answer
from edge.usage import Timings, Usage

quick = settings(max_examples=60)
finite = st.floats(allow_nan=False, allow_infinity=False)
logprobs = st.builds(
    TokenLogprob,
    st.text(st.characters(max_codepoint=255)),
    finite,
    st.lists(st.tuples(st.text(), finite), max_size=3).map(tuple),
)
tokens = st.lists(logprobs, max_size=3).map(tuple)
answers = st.builds(
    Answer,
    logprobs=st.none() | tokens,
    usage=st.builds(Usage, prompt_tokens=..., completion_tokens=...),
    timings=st.builds(Timings, **{field.name: finite for field in fields(Timings)}),
)
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Accepted),
    st.builds(Queued, st.integers(), st.none() | finite),
    st.builds(Retried),
    st.builds(Started),
    st.builds(Encoding),
    st.builds(Embedded),
    st.builds(Prefilling),
    st.builds(Token, st.text(), tokens),
    st.builds(Finished, answers),
    st.builds(Failed, param=...),
)


def family(root: type[EdgeError]) -> Iterator[type[EdgeError]]:
    yield root
    for child in root.__subclasses__():
        yield from family(child)


@quick
@given(events)
def test_an_event_survives_one_line_of_json(event: Event) -> None:
    line = to_json(event)
    assert "\n" not in line
    assert from_json(line) == event
    assert from_json(line.encode()) == event


@quick
@given(events)
def test_the_line_has_the_kind_of_the_event(event: Event) -> None:
    assert json.loads(to_json(event))["kind"] == type(event).__name__.lower()


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            Accepted(475, 400),
            {"kind": "accepted", "prompt_tokens": 475, "image_tokens": 400},
        ),
        (
            Queued(3),
            {"kind": "queued", "position": 3, "starts_in_s": None}
            | {"loading_s": None, "waits_for_room": False},
        ),
        (
            Queued(3, 12.5, 6.0),
            {"kind": "queued", "position": 3, "starts_in_s": 12.5}
            | {"loading_s": 6.0, "waits_for_room": False},
        ),
        (Retried(), {"kind": "retried"}),
        (
            Started(475, 400),
            {"kind": "started", "prompt_tokens": 475, "image_tokens": 400},
        ),
        (Embedded(64), {"kind": "embedded", "image_tokens": 64}),
        (Token("猫\n"), {"kind": "token", "text": "猫\n"}),
        (
            Failed("cancelled", "Stopped."),
            {
                "kind": "failed",
                "code": "cancelled",
                "message": "Stopped.",
                "param": None,
            },
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_wire_format_is_stable(event: Event, line: dict[str, Any]) -> None:
    assert json.loads(to_json(event)) == line
    assert from_json(json.dumps(line)) == event


def test_a_queued_event_of_an_older_version_has_no_seconds() -> None:
    assert from_json('{"kind": "queued", "position": 3}') == Queued(3)


def test_sizes_of_an_older_version_are_without_pictures() -> None:
    for kind, event in (("accepted", Accepted(475)), ("started", Started(475))):
        assert from_json(json.dumps({"kind": kind, "prompt_tokens": 475})) == event


def test_events_written_by_lua_can_be_read() -> None:
    """`common.lua` writes these two as literals."""
    assert from_json('{"kind":"retried"}') == Retried()
    line = '{"code":"cancelled","kind":"failed","message":"Nobody waited."}'
    assert from_json(line) == Failed("cancelled", "Nobody waited.")


@pytest.mark.parametrize("line", ['{"kind": "pickled"}', "{}", '{"position": 1}'])
def test_a_line_of_unknown_kind_is_an_error(line: str) -> None:
    with pytest.raises(KeyError):
        from_json(line)


@pytest.mark.parametrize(
    "kind", list(family(EdgeError)), ids=lambda kind: kind.__name__
)
def test_a_failure_restores_its_error(kind: type[EdgeError]) -> None:
    failed = from_json(to_json(Failed.because(kind("Try something else."))))
    assert isinstance(failed, Failed)
    assert type(failed.error) is kind
    assert failed.error.message == "Try something else."
    assert failed.error.status == kind.status


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("invalid_image", InvalidPicture),
        ("queue_full", QueueFull),
        ("deadline_exceeded", DeadlineExceeded),
        ("from_the_future", EdgeError),
    ],
)
def test_the_code_of_a_failure_gives_its_class(
    code: str, kind: type[EdgeError]
) -> None:
    assert type(Failed(code, "No.").error) is kind


@pytest.mark.parametrize(
    "event",
    [
        Accepted(1),
        Queued(1),
        Started(1),
        Embedded(1),
        Token("a"),
        Finished(Answer("a", "stop")),
        Failed("cancelled", ""),
    ],
    ids=lambda event: type(event).__name__,
)
def test_events_are_frozen(event: Event) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(event, fields(event)[0].name, None)
