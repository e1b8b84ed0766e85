"""Server-sent events: joins the bytes of a stream to complete events.

Source: WHATWG HTML, 9.2.6 "Interpreting an event stream". Only the data of an event is
kept: OpenAI-compatible servers put everything there. Knows nothing about chats.
"""

from __future__ import annotations

import re

_LINE_END = re.compile(rb"\r\n|\n|\r")


class EventStream:
    """One stream; received bytes may end anywhere, even inside a character."""

    def __init__(self) -> None:
        self._line = b""  # incomplete
        self._data: list[str] = []  # of the incomplete event
        self._ends_in_cr = False  # an LF may still belong to it

    def feed(self, received: bytes) -> list[str]:
        """The data of the events that end in `received`."""
        if self._ends_in_cr:
            received = received.removeprefix(b"\n")
        self._ends_in_cr = received.endswith(b"\r")
        *lines, self._line = _LINE_END.split(self._line + received)
        events = []
        for line in lines:
            if line.startswith(b"data"):
                field, _, value = line.decode("utf-8", "replace").partition(":")
                if field == "data":
                    self._data.append(value.removeprefix(" "))
            elif not line:  # a blank line ends an event
                events.append("\n".join(self._data))
                self._data.clear()
        return [event for event in events if event]
