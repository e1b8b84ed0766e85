"""Streams of events are closed with what reads them."""

from __future__ import annotations

import asyncio

from edge.events import Accepted, Token
from ui.event_streams import Events, together


async def test_closing_reaches_a_stream_whose_next_read_has_not_begun() -> None:
    closed = []

    async def stream() -> Events:
        try:
            yield Accepted(1)
            await asyncio.sleep(60)
        finally:
            closed.append("one")

    streams = [stream()]
    events = together(streams)
    assert await anext(events) == (0, Accepted(1))
    await events.aclose()
    assert closed == ["one"]


async def test_closing_reaches_a_stream_whose_next_read_is_done() -> None:
    closed = []

    async def stream() -> Events:
        try:
            for text in "abc":
                yield Token(text)
        finally:
            closed.append("one")

    streams = [stream()]
    events = together(streams)
    await anext(events)
    await asyncio.sleep(0.01)
    await events.aclose()
    assert closed == ["one"]
