"""Sets of characters, as ranges of code points.

`\\d`, `\\w` and `\\s` are ASCII in ECMA-262 and more than that in Python. The sets here
hold what is in either reading's set, so that an answer fits both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

Ranges = tuple[tuple[int, int], ...]  # code points, both ends included, in order

LAST: Final = 0x10FFFF
SURROGATES: Final = (0xD800, 0xDFFF)


def merged(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The same characters, in ranges that neither touch nor overlap."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(high, found[-1][1])
        else:
            found.append((low, high))
    return tuple(found)


def without(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """All other characters, except surrogates."""
    kept, begin = [], 0
    for low, high in (*merged([*ranges, SURROGATES]), (LAST + 1, 0)):
        if begin < low:
            kept.append((begin, low - 1))
        begin = high + 1
    return tuple(kept)


def spelled(ranges: Ranges) -> str:
    """The set as a character class of a regular expression."""
    return "[" + "".join(_span(*ends) for ends in ranges) + "]"


def _span(low: int, high: int) -> str:
    return f"\\x{{{low:X}}}" + (f"-\\x{{{high:X}}}" if low < high else "")


def _letters(*ranges: str) -> Ranges:
    return merged((ord(pair[0]), ord(pair[-1])) for pair in ranges)


_DIGITS = _letters("09")
_WORD = _letters("09", "AZ", "az", "_")
_SPACE = _letters("\t\r", " ")
# What is outside these sets in either reading: of the characters beyond ASCII only
# blocks that hold no digit, no letter, no space.
SETS: Final[dict[str, Ranges]] = {
    "d": _DIGITS,
    "w": _WORD,
    "s": _SPACE,
    "D": _letters("\0/", ":\u065f", "\u2010\u2027", "\u3001\ua61f", "가힣"),
    "W": _letters("\0/", ":@", "[^", "`", "{\x7f", "\u2010\u2027", "\u3001\u3003"),
    "S": without(
        [
            *_SPACE,
            (0x1C, 0x1F),
            (0x85, 0x85),
            (0xA0, 0xA0),
            (0x1680, 0x1680),
            (0x2000, 0x200A),
            (0x2028, 0x2029),
            (0x202F, 0x202F),
            (0x205F, 0x205F),
            (0x3000, 0x3000),
            (0xFEFF, 0xFEFF),
        ]
    ),
}
