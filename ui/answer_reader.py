"""The text and the calls in an answer, as its events bring them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from edge.events import Event, Finished, Retried, Token
from edge.qwen3vl.call_reader import (
    Arguments,
    Called,
    Found,
    PartReader,
    Text,
)
from edge.request import Answer


@dataclass(frozen=True)
class Call:
    """A complete call of the function `name`; calls are numbered from 0."""

    index: int
    name: str
    arguments: dict[str, Any]


class AnswerReader:
    """Finds each part of an answer once, also when another worker starts over. An
    answer that `has_tools` may hold calls of functions."""

    def __init__(self, *, has_tools: bool) -> None:
        self._has_tools = has_tools
        self._n_shown = 0  # characters of the answer
        self._begin()

    def _begin(self) -> None:
        self._reader = PartReader(has_tools=self._has_tools)
        self._n_read = 0
        self._open: tuple[Called, list[str]] | None = None

    @property
    def n_calls(self) -> int:
        """How many calls are complete."""
        return self._reader.n_calls

    def read(self, event: Event | None) -> list[Found]:
        """What an event adds to what is known of the answer."""
        match event:
            case Token(text):
                return self._feed(text)
            case Finished(answer):  # also what no event brought: it may be a known one
                rest = self._feed(answer.text[self._n_read :])
                return [*rest, *self._reader.end()]
            case Retried():
                self._begin()
        return []

    def read_calls(self, event: Event | None) -> list[Text | Call]:
        """As `read`, with each call in one piece. One that is cut off is left out: it
        has not been made."""
        return self._join(self.read(event))

    def parts_of(self, answer: Answer) -> list[Text | Call]:
        """The parts of a whole answer, of which nothing was read before."""
        parts: list[Text | Call] = []
        for part in self.read_calls(Finished(answer)):
            last = parts[-1] if parts else None
            if isinstance(part, Text) and isinstance(last, Text):
                parts[-1] = Text(last.text + part.text)
            else:
                parts.append(part)
        return parts

    def _feed(self, text: str) -> list[Found]:
        n_known = min(len(text), self._n_shown - self._n_read)
        self._join(self._reader.feed(text[:n_known]))
        self._n_read += len(text)
        self._n_shown = max(self._n_shown, self._n_read)
        return self._reader.feed(text[n_known:])

    def _join(self, found: list[Found]) -> list[Text | Call]:
        """Text, and the calls that are complete after it."""
        parts: list[Text | Call] = []
        for part in found:
            match part:
                case Text():
                    parts += [*self._close(), part]
                case Called():
                    parts += self._close()
                    self._open = part, []
                case Arguments(_, text) if self._open:
                    self._open[1].append(text)
        if self._open and self._open[0].index < self.n_calls:
            parts += self._close()
        return parts

    def _close(self) -> list[Call]:
        """The call whose arguments are complete, if one is open."""
        if self._open is None:
            return []
        (call, written), self._open = self._open, None
        return [Call(call.index, call.name, json.loads("".join(written)))]
