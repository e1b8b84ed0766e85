"""Finds the function calls in an answer while it is being written. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge.qwen3vl.thoughts import ThoughtReader
from edge.qwen3vl.tools import CLOSE, OPEN

_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*"([^"\\]*)"\s*,\s*"arguments"\s*:\s*(?=\{)')
_END = re.compile(r'["\\{}\[\]]')  # what matters for where a JSON value ends


@dataclass(frozen=True)
class Thoughts:
    """What the model thought before it answered."""

    text: str


@dataclass(frozen=True)
class Text:
    """Text of the answer outside of thoughts and calls."""

    text: str


@dataclass(frozen=True)
class Called:
    """A call of the function `name` begins; calls are numbered from 0."""

    index: int
    name: str


@dataclass(frozen=True)
class Arguments:
    """More of the arguments, which are JSON, of a call."""

    index: int
    json: str


Found = Thoughts | Text | Called | Arguments


class PartReader:
    """Splits an answer, which comes in pieces, into thoughts, text, and calls if it
    `has_tools`."""

    def __init__(self, *, has_tools: bool) -> None:
        self._thoughts = ThoughtReader()
        self._others = CallReader() if has_tools else TextReader()

    @property
    def n_calls(self) -> int:
        """How many calls are complete."""
        return self._others.n_calls

    def feed(self, piece: str) -> list[Found]:
        """What this piece adds."""
        thoughts, rest = self._thoughts.feed(piece)
        return [*_if_any(thoughts), *self._others.feed(rest)]

    def end(self) -> list[Found]:
        """What was undecided at the end of the answer."""
        thoughts, rest = self._thoughts.end()
        return [*_if_any(thoughts), *self._others.feed(rest), *self._others.end()]


def _if_any(thoughts: str) -> list[Found]:
    return [Thoughts(thoughts)] if thoughts else []


class TextReader:
    """Reads an answer that cannot hold calls."""

    n_calls = 0

    def feed(self, piece: str) -> list[Found]:
        return [Text(piece)] if piece else []

    def end(self) -> list[Found]:
        return []


class CallReader:
    """Splits an answer, which comes in pieces, into text and calls.

    What has been found after a piece depends on the text so far, not on how it was
    divided into pieces. White space around calls is left out; what only looks like the
    beginning of a call is text.
    """

    def __init__(self) -> None:
        self.n_calls = 0
        self._rest = ""  # not yet decided
        self._read = self._read_text
        self._depth = 0
        self._in_string = False
        self._is_first = True  # no text since the last call

    def feed(self, piece: str) -> list[Found]:
        """What this piece adds."""
        self._rest += piece
        found: list[Found] = []
        while self._read(found):
            pass
        return found

    def end(self) -> list[Found]:
        """What was undecided at the end of the answer."""
        rest, self._rest = self._rest, ""
        if self._read == self._read_head:
            return [Text(OPEN + rest)]
        if self._read == self._read_arguments:
            return [Arguments(self.n_calls, rest)] if rest else []
        is_text = self._read == self._read_text and rest.strip()
        return [Text(rest.lstrip() if self._is_first else rest)] if is_text else []

    def _read_text(self, found: list[Found]) -> bool:
        """Text up to a call. Each of these functions returns whether to go on."""
        text, opening, rest = self._rest.partition(OPEN)
        if opening:
            self._read = self._read_head
        else:
            text, rest = _without_beginning(text)
        kept = text.rstrip()  # nothing is known yet of what follows white space
        if not opening:
            rest = text[len(kept) :] + rest
        if self._is_first:
            kept = kept.lstrip()
        if kept:
            found.append(Text(kept))
            self._is_first = False
        self._rest = rest
        return bool(opening)

    def _read_head(self, found: list[Found]) -> bool:
        if head := _HEAD.match(self._rest):
            found.append(Called(self.n_calls, head[1]))
            self._rest = self._rest[head.end() :]
            self._depth, self._in_string = 0, False
            self._read = self._read_arguments
            return True
        if CLOSE in self._rest:  # not a call that this reader knows
            text, _, rest = self._rest.partition(CLOSE)
            found.append(Text(OPEN + text + CLOSE))
            self._rest, self._read, self._is_first = rest, self._read_text, False
            return True
        return False

    def _read_arguments(self, found: list[Found]) -> bool:
        end = self._end_of_value()
        piece = self._rest if end is None else self._rest[:end]
        if self._in_string and piece.endswith("\\") and end is None:
            piece = piece[: len(piece.rstrip("\\"))]  # it belongs to the next letter
        if piece:
            found.append(Arguments(self.n_calls, piece))
        self._rest = self._rest[len(piece) :]
        if end is None:
            return False
        self._read = self._read_close
        return True

    def _end_of_value(self) -> int | None:
        """Where the arguments, an object, end; None: not yet."""
        at = 0
        while mark := _END.search(self._rest, at):
            at = mark.end()
            if self._in_string:
                if mark[0] == "\\":
                    if at == len(self._rest):
                        break
                    at += 1
                elif mark[0] == '"':
                    self._in_string = False
            elif mark[0] == '"':
                self._in_string = True
            elif mark[0] in "{[":
                self._depth += 1
            elif mark[0] in "}]":
                self._depth -= 1
                if self._depth <= 0:
                    return at
        return None

    def _read_close(self, found: list[Found]) -> bool:
        _, close, rest = self._rest.partition(CLOSE)
        if not close:
            return False
        self.n_calls += 1
        self._rest, self._read, self._is_first = rest, self._read_text, True
        return True


def _without_beginning(text: str) -> tuple[str, str]:
    """`text` without an end that may be the beginning of a call, and that end."""
    for n in range(min(len(text), len(OPEN) - 1), 0, -1):
        if OPEN.startswith(text[-n:]):
            return text[:-n], text[-n:]
    return text, ""
