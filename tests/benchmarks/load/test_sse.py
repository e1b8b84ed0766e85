"""Events are the same wherever their bytes are split."""

from __future__ import annotations

import pytest

from benchmarks.load.sse import EventStream

STREAM = (
    ": hello\n\n"
    "data: 请描述\n\n"
    "event: other\r\nid: 7\r\ndata:no space\r\n\r\n"
    "data: two\rdata:  lines\r\r"
    "data\n\n"
    "database: none\n\n"
    'data: {"a": "\\n"}\n\n'
    "data: [DONE]\n\n"
    "data: never ended\n"
).encode()
EVENTS = ["请描述", "no space", "two\n lines", '{"a": "\\n"}', "[DONE]"]


def events_of(*received: bytes) -> list[str]:
    stream = EventStream()
    return [event for data in received for event in stream.feed(data)]


def test_an_event_is_its_data() -> None:
    assert events_of(STREAM) == EVENTS


@pytest.mark.parametrize("n_bytes", [1, 2, 3, 5, 7])
def test_pieces_of_any_size_give_the_same_events(n_bytes: int) -> None:
    pieces = [STREAM[i : i + n_bytes] for i in range(0, len(STREAM), n_bytes)]
    assert events_of(*pieces) == EVENTS


def test_a_cut_at_any_byte_gives_the_same_events() -> None:
    for i in range(len(STREAM) + 1):
        assert events_of(STREAM[:i], b"", STREAM[i:]) == EVENTS, i


def test_an_event_is_complete_at_its_blank_line() -> None:
    stream = EventStream()
    assert stream.feed(b"data: a\n") == []
    assert stream.feed(b"\n") == ["a"]
