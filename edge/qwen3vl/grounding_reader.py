"""Finds the objects with `bbox_2d` or `point_2d` in an answer, as models really write
them. Pure.

That is nearly JSON: in a fence or among prose, with single quotes, trailing commas,
comments or Python's parentheses, or cut off in the middle. So objects are read token by
token, and what is not understood is skipped. A list with anything but numbers in it is
skipped as a whole: the others could make a box that nobody wrote. So are other keys
(`bbox`, `box_2d`), whose numbers are in another order in some models. No character is
read twice.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

LENGTHS: Final = {"bbox_2d": 4, "point_2d": 2}
_LABELS: Final = ("label", "text_content", "text", "name")
_PICTURES: Final = ("picture", "image", "image_index", "image_id")
_HEADING = re.compile(r"(?:image|picture|photo|图片|图像|图)\s{0,3}(\d{1,3})", re.I)

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
    """A box (four numbers) or a point (two), as it was written. `picture_number` is
    that of the picture it names, from 1; 0 if it names none. `list_index` is equal for
    all objects of one list."""

    numbers: tuple[float, ...]
    label: str
    picture_number: int
    list_index: int


def located(text: str) -> list[Located]:
    """All boxes and points in `text`, in their order."""
    found: list[Located] = []
    if not any(key in text for key in LENGTHS):
        return found
    at = list_index = heading = 0
    while (begin := text.find("{", at)) >= 0:
        between = text[at:begin]
        list_index += between.count("[")
        named = {int(number) for number in _HEADING.findall(between)}
        heading = named.pop() if len(named) == 1 else 0 if named else heading
        one = _Object()
        at = one.read(text, begin + 1)
        picture = one.picture_number or heading
        for numbers in one.shapes:
            found.append(Located(numbers, one.label, picture, list_index))
    return found


@dataclass
class _Object:
    """The fields of one object that say where something is."""

    shapes: list[tuple[float, ...]] = field(default_factory=list)
    label: str = ""
    picture_number: int = 0
    _key: str = ""
    _numbers: list[float] | None = None  # of the list that is read, if it has no others

    def read(self, text: str, at: int) -> int:
        """Reads from behind the opening brace. Returns where it stops: behind the
        closing brace, at the next opening one, or at the end."""
        before = ""
        while token := _TOKEN.match(text, at):
            written = token[token.lastgroup or 0]
            if written == "{":
                return token.end() - 1
            at = token.end()
            if written == "}":
                return at
            if written in (":", "："):
                self._key, before = before, ""
            elif token.lastgroup == "number":
                self._read_number(_value(written))
            elif token.lastgroup in ("string", "word"):
                is_string = token.lastgroup == "string"
                before = _unquoted(written) if is_string else written
                self._read_text(before)
            elif token.lastgroup != "comment":
                self._read_sign(written)
        return len(text)

    def _read_text(self, text: str) -> None:
        if self._numbers is not None and re.fullmatch(_NUMBER, text):
            self._read_number(_value(text))
            return
        self._numbers = None
        key, self._key = self._key, ""
        if key in _LABELS and not self.label:
            self.label = text
        elif key in _PICTURES and (number := re.search(r"\d{1,3}", text)):
            self.picture_number = int(number[0])

    def _read_number(self, number: float) -> None:
        if self._key in _PICTURES and isinstance(number, int):
            self.picture_number = number
        if self._numbers is not None:
            self._numbers.append(number)

    def _read_sign(self, sign: str) -> None:
        if sign in ("[", "("):
            self._numbers = []
        elif sign in ("]", ")"):
            numbers, self._numbers = self._numbers, None
            if numbers and len(numbers) == LENGTHS.get(self._key):
                self.shapes.append(tuple(numbers))
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
