"""Finds the objects with `bbox_2d` or `point_2d` in an answer, as models really write
them. Pure.

That is nearly JSON: in a fence or among prose, with single quotes, trailing commas,
comments or Python's parentheses, or cut off in the middle. So objects are read token by
token, and what is not understood is skipped. A list with anything but numbers in it is
skipped as a whole: the others could make a box that nobody wrote. So are other keys
(`bbox`, `box_2d`), whose numbers are in another order in some models. No character is
read twice. An object in another one has its label and its picture, unless it has its
own.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from edge.qwen3vl.picture_names import Name, PictureNames

LENGTHS: Final = {"bbox_2d": 4, "point_2d": 2}
MOST_DEPTH: Final = 32  # of objects in objects, and of those that are open at once
_LABELS: Final = ("label", "text_content", "text", "name")
_NOTHING: Final = ("null", "None", "true", "True", "false", "False")

_SEPARATORS: Final = (",", "，", "、")
_NUMBER: Final = r"-?\d++(?:\.\d*+)?(?:[eE][+-]?\d++)?"
# A string that is not closed ends with its line.
_TOKEN = re.compile(
    rf"""\s*+(?:
      (?P<string>"(?:[^"\\\n]|\\.|\\\Z)*+"? | '(?:[^'\\\n]|\\.|\\\Z)*+'?
        | “[^”\n]*+”?)
    | (?P<comment>//[^\n]*+)
    | (?P<number>{_NUMBER})(?![\w.-])
    | (?P<unknown>\d[\w.-]*+)
    | (?P<word>[^\W\d]\w*+)
    | (?P<sign>.)
    )""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Located:
    """A box (four numbers) or a point (two), as it was written, and the picture that it
    names. `list_index` is equal for all objects of one list."""

    numbers: tuple[float, ...]
    label: str
    picture: Name | None
    list_index: int


def located(text: str, labels: Sequence[str] = ()) -> list[Located]:
    """All boxes and points in `text`, in their order. `labels`: see `PictureNames`."""
    if not any(key in text for key in LENGTHS):
        return []
    reader = _Reader(PictureNames(labels))
    at = 0
    while (begin := text.find("{", at)) >= 0:
        reader.read_prose(text[at:begin])
        at = reader.read_objects(text, begin)
    return [
        Located(numbers, one.label_shown, one.picture_shown, one.list_shown)
        for numbers, one in reader.found
    ]


@dataclass
class _Reader:
    names: PictureNames
    found: list[tuple[tuple[float, ...], _Object]] = field(default_factory=list)
    _heading: Name | None = None
    _n_lists: int = 0
    _list: int = 0

    def read_prose(self, text: str) -> None:
        """Reads what stands between two objects."""
        if n_begun := text.count("["):
            self._n_lists += n_begun
            self._list = self._n_lists
        self._heading = self.names.heading(text, self._heading)

    def read_objects(self, text: str, at: int) -> int:
        """Reads an object and those in it. Returns where it stops: behind the closing
        brace, at the end of a fence, or at the end of the text."""
        unclosed: deque[_Object] = deque(maxlen=MOST_DEPTH)  # the innermost ones
        before = ""
        while token := _TOKEN.match(text, at):
            at, kind = token.end(), token.lastgroup or ""
            written = token[kind]
            if kind == "comment":
                continue
            if written == "{":
                unclosed.append(self._opened(unclosed, starts_list=before == "["))
            elif written == "}":
                unclosed.pop().end()
            elif written != "`":
                unclosed[-1].read(kind, written)
            if written == "`" or not unclosed:
                break
            before = written
        for one in unclosed:
            one.end()
        return at

    def _opened(self, unclosed: deque[_Object], *, starts_list: bool) -> _Object:
        if not unclosed or unclosed[-1].depth == MOST_DEPTH:
            return _Object(self, None, self._heading, self._list, self._list)
        outer = unclosed[-1]
        if starts_list:
            self._n_lists += 1
            outer.inner_list = self._n_lists
        above, list_index = self.names.in_key(outer.key), outer.inner_list
        return _Object(self, outer, above, list_index, list_index, outer.depth + 1)


@dataclass
class _Object:
    """The fields of one object that say where something is. It is in the object `outer`
    or under the heading or key that names the picture `above`."""

    reader: _Reader
    outer: _Object | None
    above: Name | None
    list_index: int
    inner_list: int
    depth: int = 1
    key: str = ""  # of the value that is read
    _label: str = ""
    _picture: Name | None = None
    _has_shapes: bool = False
    _text: str | None = None  # that may be a key: it is one before a colon
    _numbers: list[float] | None = None  # of the list that is read, if it has no others

    @property
    def label_shown(self) -> str:
        return self._label or (self.outer.label_shown if self.outer else "")

    @property
    def picture_shown(self) -> Name | None:
        own = self._picture or self.above
        return own or (self.outer.picture_shown if self.outer else None)

    @property
    def list_shown(self) -> int:
        """Parts of one thing, or things of one name, belong to the list around them."""
        if self.outer and (self.outer._has_shapes or self.outer._label):
            return self.outer.list_shown
        return self.list_index

    def read(self, kind: str, written: str) -> None:
        """Reads one token."""
        if written in (":", "："):
            self.key, self._text, self._numbers = self._text or "", None, None
            return
        self.end()
        if kind == "string":
            self._text = _unquoted(written)
        elif kind == "word":
            self._text = "" if written in _NOTHING else written
        elif kind in ("number", "unknown"):
            self._read_value(written)
        else:
            self._read_sign(written)

    def end(self) -> None:
        """Ends a text: no colon came behind it."""
        if self._text is not None:
            self._read_value(self._text)
            self._text = None

    def _read_value(self, text: str) -> None:
        if self.key in _LABELS:
            self._label = self._label or text
        self._picture = self._picture or self.reader.names.in_field(self.key, text)
        if self._numbers is not None and re.fullmatch(_NUMBER, text):
            self._numbers.append(_value(text))
        else:
            self._numbers, self.key = None, ""

    def _read_sign(self, sign: str) -> None:
        if sign in ("[", "("):
            self._numbers = []
        elif sign in ("]", ")"):
            numbers, self._numbers = self._numbers, None
            if numbers and len(numbers) == LENGTHS.get(self.key):
                self.reader.found.append((tuple(numbers), self))
                self._has_shapes = True
        elif sign not in _SEPARATORS:
            self._numbers = None


def _value(number: str) -> float:
    """An int where it is written as one of up to nine digits; a longer one is none."""
    return int(number) if re.fullmatch(r"-?\d{1,9}", number) else float(number)


def _unquoted(string: str) -> str:
    text = string[1:].removesuffix("”" if string[0] == "“" else string[0])
    with suppress(ValueError):  # not escaped as in JSON
        text = json.loads(f'"{text}"')
    return text.encode(errors="replace").decode()  # half of a surrogate pair is none
