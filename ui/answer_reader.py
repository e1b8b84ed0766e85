"""The text and the calls in an answer, as its events bring them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from edge.events import Event, Finished, Retried
from edge.logprobs import TokenLogprob
from edge.qwen3vl.call_reader import (
    Arguments,
    Called,
    Found,
    PartReader,
    Text,
    Thoughts,
)
from edge.request import Answer
from ui.new_text import Addition, NewText


@dataclass(frozen=True)
class Call:
    """A complete call of the function `name`; calls are numbered from 0."""

    index: int
    name: str
    arguments: dict[str, Any]


Part = Thoughts | Text | Call


class AnswerReader:
    """Finds each part of an answer once, also when another worker starts over. An
    answer that `has_tools` may hold calls of functions. Its client has the first `skip`
    characters already."""

    def __init__(self, *, has_tools: bool, skip: int = 0) -> None:
        self.logprobs: tuple[TokenLogprob, ...] = ()  # new, of the latest event
        self._has_tools = has_tools
        self._text = NewText(skip)
        self._begin()

    def _begin(self) -> None:
        self._reader = PartReader(has_tools=self._has_tools)
        self._open: tuple[Called, list[str]] | None = None

    @property
    def n_read(self) -> int:
        """How many characters the answer has so far."""
        return self._text.n_read

    @property
    def n_calls(self) -> int:
        """How many calls are complete."""
        return self._reader.n_calls

    def read(self, event: Event | None) -> list[Found]:
        """What an event adds to what is known of the answer."""
        added = self._added(event)
        self._reader.feed(added.known)
        return self._found(added.new, event)

    def read_calls(self, event: Event | None) -> list[Part]:
        """As `read`, with each call in one piece. One that is cut off is left out: it
        has not been made."""
        added = self._added(event)
        self._join(self._reader.feed(added.known))
        return self._join(self._found(added.new, event))

    def _added(self, event: Event | None) -> Addition:
        if isinstance(event, Retried):
            self._begin()
        added = self._text.read(event)
        self.logprobs = added.logprobs
        return added

    def _found(self, new: str, event: Event | None) -> list[Found]:
        found = self._reader.feed(new)
        return [*found, *self._reader.end()] if isinstance(event, Finished) else found

    def parts_of(self, answer: Answer) -> list[Part]:
        """The parts of a whole answer, of which nothing was read before."""
        parts: list[Part] = []
        for part in self.read_calls(Finished(answer)):
            match parts[-1:], part:
                case [Text(before)], Text(text):
                    parts[-1] = Text(before + text)
                case [Thoughts(before)], Thoughts(text):
                    parts[-1] = Thoughts(before + text)
                case _:
                    parts.append(part)
        return parts

    def _join(self, found: list[Found]) -> list[Part]:
        """Text, and the calls that are complete after it."""
        parts: list[Part] = []
        for part in found:
            match part:
                case Text() | Thoughts():
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
