"""Patterns: every match of the rewritten one matches the original."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.schemas.pattern import UnreadablePattern, whole_string

READABLE = [
    r"^\d{3}-[A-Z]{2}$",
    r"red|^blue$",
    r"(^a$|^b$)",
    r"^(?:a|b)$",
    r"^(?P<year>\d{4})-(?P<month>\d{2})$",
    r"^[a-z]+?x$",
    r"^\W\D\S\w\d\s$",
    r"^[^\W_]+$",
    r"^[^\d]{2}$",
    r"^[\s\S]$",
    r"^.{2}$",
    r"^\/\$\.\\\"$",
    r"^[\w.+-]+@[\w-]+\.[\w.-]+$",
    r"^[]-]$".replace("[]-]", r"[\]-]"),
    "^[一-龥]{2}$",
    r"^\u4e00\x41\t$",
    "^(😀|😢)$",
    r"^a{2,}b{0,3}c{4}$",
    r"^(a|)$",
    r"",
    r"^",
    r"$",
    r"^{$",
]
REFUSED = {
    "a{1,1000000}": "written out",
    "a?" * 200: "variable length",
    "(" * 40 + ")" * 40: "nested",
    "|" * 600: "alternatives",
    "a" * 3000: "characters",
    "^[a-Z]$": "reversed",
    "^[z-a]$": "reversed",
    "^a{3,2}$": "reversed",
    "^[]$": "empty class",
    "^[^]$": "empty class",
    r"^[^\s\S]$": "no character",
    r"^[\w-z]$": "a class at one end",
    "(?=a)": "lookahead",
    "(?!a)": "lookahead",
    "(?<=a)b": "lookbehind",
    "(?i)a": "flags",
    "(a": "not closed",
    "a)": "too many",
    "[a": "too early",
    "a\\": "too early",
    "a**": "repeats a repetition",
    "a++": "repeats a repetition",
    "*a": "nothing before it",
    "^*": "repeats ^",
    "a^b": "beginning",
    "(a$)b": "end",
    "a{,3}": "write",
    r"(a)\1": "not supported",
    r"\p{L}": "not supported",
    r"\bword\b": "not supported",
    r"\x4": "hex digits",
    r"\ud83d": "surrogate",
    "\ud83d": "surrogate",
}


def as_python(pattern: str) -> re.Pattern[str]:
    r"""A rewritten pattern for Python, which has no \x{...}."""
    spelled = re.sub(
        r"\\x\{([0-9A-F]+)\}", lambda hex_: f"\\U{int(hex_[1], 16):08x}", pattern
    )
    return re.compile(spelled)


@pytest.mark.parametrize("pattern", READABLE)
@settings(max_examples=40)
@given(data=st.data())
def test_a_match_of_the_rewritten_pattern_matches_the_original(pattern, data) -> None:
    text = data.draw(st.from_regex(as_python(whole_string(pattern)), fullmatch=True))
    assert re.search(pattern, text)


@pytest.mark.parametrize("pattern", [p for p in READABLE if p != r"^\W\D\S\w\d\s$"])
@settings(max_examples=40)
@given(data=st.data())
def test_an_ascii_match_of_the_original_matches_the_rewritten_one(
    pattern, data
) -> None:
    text = data.draw(st.from_regex(pattern))
    if text.isascii() and text.isprintable():
        assert as_python(whole_string(pattern)).fullmatch(text)


@pytest.mark.parametrize("pattern", REFUSED)
def test_a_pattern_is_refused_with_its_fault(pattern: str) -> None:
    with pytest.raises(UnreadablePattern, match=re.escape(REFUSED[pattern])):
        whole_string(pattern)


@settings(max_examples=300)
@given(st.text("ab01^$.|()[]{}*+?\\-,:<>=!dDwWsSxu", max_size=30))
def test_any_text_is_a_pattern_or_is_refused(text: str) -> None:
    try:
        rewritten = whole_string(text)
    except UnreadablePattern:
        return
    as_python(rewritten)
