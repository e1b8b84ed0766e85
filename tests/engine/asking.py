"""Asks an engine, and collects the events of the answer."""

from __future__ import annotations

from collections.abc import Callable

from edge.engine.engine import Engine
from edge.engine.ticket import Ticket
from edge.events import Event, Failed, Finished
from edge.images import Picture
from edge.request import Message, Request, SamplingParams

Pause = Callable[[], None]


def ask(engine: Engine, text: str = "hello", *pictures: Picture, **sampling) -> Ticket:
    content = (*(p.ref for p in pictures), text)
    request = Request((Message("user", content),), SamplingParams(**sampling))
    return engine.submit(request, {p.ref.sha256: p for p in pictures})


def events(ticket: Ticket) -> list[Event]:
    """All events up to the terminal one, and proof that nothing follows it."""
    seen: list[Event] = []
    while not seen or not isinstance(seen[-1], Finished | Failed):
        event = ticket.next(timeout_s=60)
        assert event is not None, f"no terminal event after {seen}"
        seen.append(event)
    assert ticket.next(timeout_s=0.02) is None
    return seen
