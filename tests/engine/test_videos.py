"""A video in a question: pairs of frames that are shown and dropped together."""

from __future__ import annotations

from contextlib import closing

import pytest

from edge.engine import ticket
from edge.engine.engine import Engine
from edge.engine.prepare import prepare
from edge.errors import ContextLengthExceeded
from edge.events import Embedded, Encoding, Token
from edge.images import Picture
from edge.qwen3vl.video import second_labels
from edge.request import Message, PictureRef, Request, SamplingParams
from edge.stubs.runtime import LONG_ANSWER, StubRuntime
from edge.stubs.vision import StubTower
from tests.engine.asking import events

STILL = Picture(64, 64, bytes(3 * 64 * 64))


def pair(level: int) -> Picture:
    """4 x 2 image tokens."""
    n_bytes = 3 * 128 * 64
    return Picture(128, 64, bytes(n_bytes) + bytes([level]) * n_bytes, n_frames=2)


PAIRS = [pair(level) for level in range(1, 7)]


def video(pairs: list[Picture] = PAIRS) -> tuple[str | PictureRef, ...]:
    labels = second_labels([i / 2 for i in range(2 * len(pairs))])
    content: list[str | PictureRef] = []
    for label, shown in zip(labels, pairs, strict=True):
        content += [label, shown.ref]
    return tuple(content)


def asked(*messages: Message, truncate: bool = False) -> Request:
    return Request(messages, SamplingParams(max_tokens=20), truncate=truncate)


def pixels(request: Request) -> dict[str, Picture]:
    given = {each.ref.sha256: each for each in (*PAIRS, STILL)}
    return {ref.sha256: given[ref.sha256] for ref in request.pictures}


def test_each_pair_is_told_of_while_it_is_encoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ticket, "SHOW_S", 0.0)
    request = asked(Message("user", (*video(PAIRS[:2]), "What happens?")))
    with closing(Engine(StubRuntime(), StubTower(n_stages=2))) as engine:
        seen = events(engine.submit(request, pixels(request)))
    assert [event for event in seen if isinstance(event, Encoding | Embedded)] == [
        Encoding(0, 2, 1, 2),
        Embedded(8),
        Encoding(1, 2, 1, 2),
        Embedded(8),
    ]
    assert seen[-1].answer.usage.image_tokens == 16


def test_the_embeddings_of_a_prompt_are_freed_when_the_answer_begins() -> None:
    request = asked(Message("user", (*video(), "What happens?")))
    with closing(Engine(StubRuntime(LONG_ANSWER), StubTower())) as engine:
        asking = engine.submit(request, pixels(request))
        while not isinstance(asking.next(60), Token):
            pass
        assert asking.sequence.embeddings == {}


@pytest.mark.parametrize("n_cells", [300, 260, 220, 180, 140])
def test_a_conversation_keeps_all_of_a_video_or_nothing(n_cells: int) -> None:
    talk = (
        Message("user", (*video(), "What happens?")),
        Message("assistant", ("A ball falls.",)),
        Message("user", ("Where?",)),
    )
    runtime = StubRuntime(n_cells=n_cells)
    sequence = prepare(asked(*talk, truncate=True), runtime, StubTower())
    assert len(sequence.pictures) == (0 if sequence.n_dropped else len(PAIRS))
    assert sequence.n_dropped == (2 if n_cells < 260 else 0)


def test_a_video_that_does_not_fit_is_refused_before_work() -> None:
    request = asked(Message("user", (*video(), "What happens?")))
    with (
        closing(Engine(StubRuntime(n_cells=100), StubTower())) as engine,
        pytest.raises(ContextLengthExceeded, match="fewer or smaller"),
    ):
        engine.check(request)


def test_boxes_are_on_pictures_and_not_on_frames() -> None:
    """They are numbered as they were sent."""
    answer = '[{"bbox_2d": [0, 0, 500, 500], "label": "cup"}]'
    shown = Message("user", (STILL.ref, *video(PAIRS[:2]), "Where is the cup?"))
    only_video = Message("user", (*video(PAIRS[:2]), "Where is the cup?"))
    with closing(Engine(StubRuntime(answer), StubTower())) as engine:
        found = []
        for message in (shown, only_video):
            request = Request((message,), SamplingParams(max_tokens=100))
            done = events(engine.submit(request, pixels(request)))[-1]
            found.append([mark.picture for mark in done.answer.marks])
    assert found == [[0], []]


def test_boxes_find_their_page_by_its_name() -> None:
    """Of `pages: "5-6"`; their places are 0 and 1."""
    answer = 'Page 6 of 9:\n[{"bbox_2d": [0, 0, 500, 500], "label": "total"}]'
    pages = ("a.pdf, page 5 of 9:\n", STILL.ref, "a.pdf, page 6 of 9:\n", STILL.ref)
    message = Message("user", (*pages, "Where is the total?"))
    request = Request((message,), SamplingParams(max_tokens=100))
    with closing(Engine(StubRuntime(answer), StubTower())) as engine:
        done = events(engine.submit(request, pixels(request)))[-1]
    assert [mark.picture for mark in done.answer.marks] == [1]
