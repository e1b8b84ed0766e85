"""The answers to several pages as one, over stubs: pages that wait, and the bytes that
are kept for those to come."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from edge.caller import ANONYMOUS, Caller
from edge.errors import (
    ClientLimit,
    EdgeError,
    InvalidPicture,
    NoWorker,
    QueueFull,
    RateLimited,
    ShuttingDown,
)
from edge.events import Event, Failed, Finished, Token
from edge.jobs.ledger import Charge, refusal
from edge.jobs.submission import Admitted
from edge.request import Answer
from edge.usage import Timings, Usage
from tests.ui.pictures import part, png
from ui.asking import Asked
from ui.event_streams import Events
from ui.openai.body import ChatBody
from ui.parsed_question import ParsedQuestion
from ui.per_page import _n_bytes, join
from ui.picture_hosts import PictureHosts

ME = Caller(ANONYMOUS, "me", "127.0.0.1", "me")


def asked(text: str) -> Asked:
    async def events() -> Events:
        yield Token(text)
        yield Finished(Answer(text, "stop", Usage(), Timings()))

    return Asked(Admitted("1", 0.0, is_new=True), "stub", False, events())


def refusing(*errors: EdgeError) -> Callable[[int], Awaitable[Asked]]:
    """Asks when it has raised these errors."""
    left = list(errors)

    async def ask(i: int) -> Asked:
        if left:
            raise left.pop(0)
        return asked(f"answer {i}")

    return ask


async def joined(patience_s: float, *errors: EdgeError) -> list[Event | None]:
    events = join(asked("answer 0"), ["A", "B"], refusing(*errors), patience_s)
    return [event async for event in events]


@pytest.mark.parametrize("kind", [QueueFull, ClientLimit, RateLimited, NoWorker])
async def test_a_later_page_waits_where_there_is_no_room(kind: type[EdgeError]) -> None:
    events = await joined(60, kind("Try again.", retry_after_s=0.5))
    assert None in events  # a sign of life meanwhile
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.answer.text == "## A\n\nanswer 0\n\n## B\n\nanswer 1"


@pytest.mark.parametrize(
    "error",
    [
        InvalidPicture("This page is damaged."),
        ShuttingDown("The server is being stopped."),
        RateLimited("Try again tomorrow.", retry_after_s=86_400),
        refusal(
            Charge("image-tokens", False, 0.0, limit=1000, left=100, resets_s=9), 1024
        ),
        ClientLimit("Close some streams."),
    ],
)
async def test_what_does_not_pass_soon_ends_the_answer(error: EdgeError) -> None:
    *_, before, last = await joined(60, error)
    assert isinstance(before, Token)
    assert isinstance(last, Failed)
    assert last.error.message == error.message


def test_all_files_that_are_kept_count() -> None:
    def data(file: bytes, kind: str) -> str:
        return f"data:{kind};base64,{base64.b64encode(file).decode()}"

    video, picture = bytes(1000), png()
    link = "https://a.test/1.png"
    parts: list[dict[str, Any]] = [
        part(picture),
        {"type": "video_url", "video_url": {"url": data(video, "video/mp4")}},
        {"type": "video", "video": [data(picture, "image/png")] * 2},
        {"type": "video", "video": [data(picture, "image/png"), link]},
    ]
    messages = [{"role": "user", "content": parts}]
    body = ChatBody.model_validate({"messages": messages, "per_page": True})
    question = ParsedQuestion(body, 5, ME, hosts=PictureHosts("a.test"))
    assert _n_bytes(question) == 1000 + 4 * len(picture)
