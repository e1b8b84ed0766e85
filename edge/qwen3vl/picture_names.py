"""Which picture of a question a text names, as people and models write it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

_ORDINALS: Final = (
    "first", "second", "third", "fourth", "fifth",
    "sixth", "seventh", "eighth", "ninth", "tenth",
)  # fmt: skip
_CHINESE: Final = "一二三四五六七八九十"
_NAME: Final = rf"""
    (?<![a-z])(?:(?P<page>page)|image|img|picture|photo|图片|图像|照片|图)
      (?:\s{{0,3}}(?:\#|№|no\.?|number)?\s{{0,3}}|[-_])(?P<number>\d{{1,3}})(?!\d)
    | 第\s?(?:(?P<nth_zh>\d{{1,3}})|(?P<word_zh>[{_CHINESE}]))\s?
      (?:(?P<page_zh>页)|[张幅个]?\s?(?:图|照片))
    | (?<![a-z\d])(?:(?P<nth>\d{{1,3}})(?:st|nd|rd|th)|(?P<word>{"|".join(_ORDINALS)}))
      \s{{1,3}}(?:(?P<page_nth>page)|image|picture|photo)
"""
# What may stand between the name of a picture and the list below it.
_END_OF_TITLE = re.compile(r"\s*+(?:of\s\d{1,3}|/\d{1,3})?\W*+(?:json\b\W*+)?", re.I)
_KEY = re.compile(
    r"(?:(page)|image|img|picture|photo)(?:_?(?:index|idx|id|number|no))?", re.I
)
_PAGE_LABEL = re.compile(r"page (\d{1,4}) of \d{1,4}$", re.I)
_FILE_LABEL = re.compile(r"\.\w{2,5}$")


class Name(NamedTuple):
    """The number of a picture. One that `is_position` counts from 1; others count as
    the answer does."""

    number: int
    is_position: bool = False

    def position(self, first: int) -> int:
        """From 0, in an answer that calls the first picture number `first`."""
        return self.number - (1 if self.is_position else first)


class PictureNames:
    """The names of the pictures of one question. The prompt calls each by its label,
    "" where there is none. Those of a file, of a page of it or both count: others are
    a person's words, and two equal ones name neither picture."""

    def __init__(self, labels: Sequence[str] = ()) -> None:
        lower = [one.lower() for one in labels]
        self._labels = {
            one: i
            for i, one in enumerate(lower, 1)
            if lower.count(one) == 1
            and (_PAGE_LABEL.search(one) or _FILE_LABEL.search(one))
        }
        found = [(_PAGE_LABEL.search(one), i) for i, one in enumerate(labels, 1)]
        pages = [(int(match[1]), i) for match, i in found if match]
        numbers = [number for number, _ in pages]
        # 0: pages of several files have this number
        self._pages = {n: i if numbers.count(n) == 1 else 0 for n, i in pages}
        longest_first = sorted(self._labels, key=len, reverse=True)
        exact = "".join(rf"(?<!\w){re.escape(one)}(?!\w)|" for one in longest_first)
        self._pattern = re.compile(exact + _NAME, re.I | re.VERBOSE)

    def heading(self, text: str, before: Name | None) -> Name | None:
        """The picture that `text` between two lists names for the second one: the only
        one, or the title that stands right above the list; `before` if it names none,
        None if it leaves open which."""
        matches = list(self._pattern.finditer(text))
        names = [self._name(match) for match in matches]
        if len(set(names)) <= 1:
            return names[0] if names else before
        line = text.rfind("\n", 0, matches[-1].start())
        in_line = {n for n, m in zip(names, matches, strict=True) if m.start() > line}
        is_title = _END_OF_TITLE.fullmatch(text, matches[-1].end())
        return names[-1] if is_title and len(in_line) == 1 else None

    def in_key(self, key: str) -> Name | None:
        """The picture that a key like "image 1" names, for the objects below it."""
        match = self._pattern.match(key)
        return self._name(match) if match else None

    def in_field(self, key: str, value: str) -> Name | None:
        """The picture that a field names, as in `"image": 1`."""
        if not (kind := _KEY.fullmatch(key)):
            return None
        if match := self._pattern.search(value):
            return self._name(match)
        number = re.fullmatch(r"[^\d-]*(\d{1,3})\D*", value)
        return self._number(int(number[1]), bool(kind[1])) if number else None

    def _name(self, match: re.Match[str]) -> Name | None:
        if position := self._labels.get(match[0].lower()):
            return Name(position, is_position=True)
        is_page = bool(match["page"] or match["page_zh"] or match["page_nth"])
        if number := match["number"]:
            return self._number(int(number), is_page)
        if word := match["word_zh"]:
            nth = _CHINESE.index(word) + 1
        elif word := match["word"]:
            nth = _ORDINALS.index(word.lower()) + 1
        else:
            nth = int(match["nth"] or match["nth_zh"])
        named = self._number(nth, is_page)
        return named and Name(named.number, is_position=True)

    def _number(self, number: int, is_page: bool) -> Name | None:
        if not is_page or not self._pages:
            return Name(number)
        position = self._pages.get(number)
        return Name(position, is_position=True) if position else None
