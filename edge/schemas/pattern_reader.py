"""Reads a regular expression into parts, and counts what each costs.

A recursive-descent reader of what ECMA-262 and Python's `re` have in common.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge.schemas.characters import SETS, SURROGATES, Ranges, merged, spelled, without

MAX_NESTING = 32  # groups in groups
MAX_ALTERNATIVES = 500

_QUANTIFIER = re.compile(r"\{([0-9]{1,10})(,([0-9]{1,10})?)?\}")
_REFUSED_GROUPS = {
    "?=": "lookahead",
    "?!": "lookahead",
    "?<=": "lookbehind",
    "?<!": "lookbehind",
}
_GROUP_NAME = re.compile(r"\?P?<[A-Za-z_][A-Za-z0-9_]*>")
_CONTROL = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "0": 0}


class UnreadablePattern(ValueError):
    """Raised with the fault of a pattern as a clause: "has a ( that is not closed"."""


@dataclass(frozen=True)
class Part:
    """A piece of a pattern as llguidance reads it, and what it costs."""

    text: str
    n_atoms: int = 0
    n_variable: int = 0
    anchor: str = ""  # `^` or `$`; then the text is empty
    branches: tuple[tuple[Part, ...], ...] = ()  # of a group without a quantifier


def read_branches(pattern: str) -> tuple[tuple[Part, ...], ...]:
    """The alternatives of `pattern`, each a sequence of parts.

    Raises UnreadablePattern.
    """
    return _Reader(pattern).read()


def plain_text(part: Part) -> str:
    """The part inside of a pattern, where an anchor has no place."""
    if part.anchor:
        raise UnreadablePattern(
            f"has a {part.anchor} that is not at the "
            f"{'beginning' if part.anchor == '^' else 'end'}"
        )
    if part.branches:
        inner = ("".join(map(plain_text, branch)) for branch in part.branches)
        return f"(?:{'|'.join(inner)})"
    return part.text


class _Reader:
    """A recursive-descent reader of one pattern."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0
        self._n_branches = 0

    def read(self) -> tuple[tuple[Part, ...], ...]:
        branches = self._branches()
        if self._at < len(self._pattern):
            raise UnreadablePattern("has a ) too many")
        return branches

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _take(self) -> str:
        char = self._peek()
        if not char:
            raise UnreadablePattern("ends too early")
        self._at += 1
        return char

    def _branches(self) -> tuple[tuple[Part, ...], ...]:
        branches: list[tuple[Part, ...]] = []
        while True:
            self._n_branches += 1
            if self._n_branches > MAX_ALTERNATIVES:
                raise UnreadablePattern(
                    f"has more than {MAX_ALTERNATIVES} alternatives"
                )
            branches.append(self._branch())
            if self._peek() != "|":
                return tuple(branches)
            self._at += 1

    def _branch(self) -> tuple[Part, ...]:
        parts = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated(self._atom()))
        return tuple(parts)

    def _atom(self) -> Part:
        char = self._take()
        if char in "^$":
            return Part("", anchor=char)
        if char == "(":
            return self._group()
        if char == "[":
            return _one_of(self._class())
        if char == ".":
            return _one_of(without([(10, 10), (13, 13), (0x2028, 0x2029)]))
        if char in "*+?":
            raise UnreadablePattern(f"has a {char} with nothing before it to repeat")
        if char == "\\":
            return _one_of(self._escape())
        return _one_of(_single(ord(char)))

    def _group(self) -> Part:
        rest = self._pattern[self._at :]
        for begin, kind in _REFUSED_GROUPS.items():
            if rest.startswith(begin):
                raise UnreadablePattern(f"has a {kind}, which is not supported")
        if rest.startswith("?:"):
            self._at += 2
        elif name := _GROUP_NAME.match(rest):
            self._at += name.end()
        elif rest.startswith("?"):
            raise UnreadablePattern("has flags or a kind of group, (?, unknown here")
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise UnreadablePattern(f"has groups nested more than {MAX_NESTING} deep")
        branches = self._branches()
        if self._peek() != ")":
            raise UnreadablePattern("has a ( that is not closed")
        self._at += 1
        self._depth -= 1
        parts = [part for branch in branches for part in branch]
        return Part(
            "",
            sum(part.n_atoms for part in parts),
            sum(part.n_variable for part in parts),
            branches=branches,
        )

    def _repeated(self, part: Part) -> Part:
        """The part with its quantifier, if it has one."""
        least, most = self._quantifier()
        if (least, most) == (1, 1):
            return part
        if part.anchor:
            raise UnreadablePattern(f"repeats {part.anchor}")
        if most is not None and least > most:
            raise UnreadablePattern(f"has a range {{{least},{most}}} that is reversed")
        times = max(1, least if most is None else most)
        text = f"(?:{plain_text(part)}){{{least},{'' if most is None else most}}}"
        n_variable = part.n_variable * times + (least != most)
        return Part(text, max(1, part.n_atoms) * times, n_variable)

    def _quantifier(self) -> tuple[int, int | None]:
        simple = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        char = self._peek()
        if char in simple and char:
            self._at += 1
            least, most = simple[char]
        elif found := _QUANTIFIER.match(self._pattern, self._at):
            self._at = found.end()
            least = int(found[1])
            most = least if not found[2] else int(found[3]) if found[3] else None
        elif self._pattern.startswith("{,", self._at):
            raise UnreadablePattern("has a {,n}: write {0,n}")
        else:
            return 1, 1
        if self._peek() == "?":  # lazy: the language is the same
            self._at += 1
        if self._peek() and self._peek() in "*+?":
            raise UnreadablePattern("repeats a repetition")
        return least, most

    def _class(self) -> Ranges:
        """The characters of a class, after its [."""
        is_negated = self._peek() == "^"
        self._at += is_negated
        if self._peek() == "]":
            raise UnreadablePattern("has an empty class []")
        found: list[tuple[int, int]] = []
        while self._peek() != "]":
            first, is_set = self._class_item(is_negated)
            begin = self._at
            if self._peek() == "-" and self._pattern[begin + 1 : begin + 2] != "]":
                self._at += 1
                last, is_also_set = self._class_item(is_negated)
                if is_set or is_also_set:
                    raise UnreadablePattern("has a range with a class at one end")
                if first[0][0] > last[0][0]:
                    raise UnreadablePattern(
                        f"has the range {self._pattern[begin - 1 : self._at]}, "
                        "which is reversed"
                    )
                found.append((first[0][0], last[0][0]))
            else:
                found += first
        self._at += 1
        return without(found) if is_negated else merged(found)

    def _class_item(self, is_negated: bool) -> tuple[Ranges, bool]:
        """Code points, and whether they are a set such as \\d."""
        char = self._take()
        if char != "\\":
            return _single(ord(char)), False
        letter = self._peek()
        if letter in SETS and letter:
            self._at += 1
            # [^\d] must not admit what either reading of \d does
            larger = without(SETS[letter.swapcase()])
            return (larger if is_negated else SETS[letter]), True
        if letter == "b":  # in a class it is a backspace
            self._at += 1
            return _single(8), False
        return self._escape(), False

    def _escape(self) -> Ranges:
        """The code points of an escape, after the backslash."""
        char = self._take()
        if char in SETS:
            return SETS[char]
        if char == "0" and self._peek().isdigit():
            raise UnreadablePattern("has an octal escape: write \\xhh")
        if char in _CONTROL:
            return _single(_CONTROL[char])
        if char in "xu":
            n_digits = 2 if char == "x" else 4
            digits = self._pattern[self._at : self._at + n_digits]
            if not re.fullmatch(f"[0-9a-fA-F]{{{n_digits}}}", digits):
                raise UnreadablePattern(f"has a \\{char} without {n_digits} hex digits")
            self._at += n_digits
            return _single(int(digits, 16))
        if char.isascii() and char.isalnum():
            raise UnreadablePattern(f"has \\{char}, which is not supported")
        return _single(ord(char))


def _single(code: int) -> Ranges:
    if SURROGATES[0] <= code <= SURROGATES[1]:
        raise UnreadablePattern("has half of a surrogate pair: write the character")
    return ((code, code),)


def _one_of(ranges: Ranges) -> Part:
    if not ranges:
        raise UnreadablePattern("has a class that no character is in")
    return Part(spelled(ranges), 1)
