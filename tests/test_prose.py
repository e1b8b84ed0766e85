"""Plain words: documents, docstrings, comments, strings and names avoid old phrases."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Files and folders whose prose is checked.
ROOMS = (
    "README.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "docs",
    "docker-compose.yml",
    "Dockerfile",
    "Makefile",
    "bootstrap",
    "pyproject.toml",
    "benchmarks",
    "edge",
    "nginx",
    "tests",
    "training",
    "ui",
    "worker",
)
SUFFIXES = {".js", ".lua", ".md", ".py", ".yml"}  # of files in folders

# What to avoid, and what to write instead. A space also matches the end of a line.
PHRASES = {
    r"\banew\b": "again",
    r"\blest\b": "so that ... not",
    r"\bnought\b": "zero",
    r"\bwho(m|se)?(so)?ever\b": "the client, anybody who",
    r"\blikewise\b": "also, the same",
    r"\bin hand\b": "at hand, running",
    r"\bof ours\b": "our, Edge-VL's",
    r"\bso many\b": "this many, a number",
    r"\bfor so long\b": "for this time",
    r"\bcomes? to pass\b": "happens",
    r"\bthough\b[^.;:]*\b(be|hang|die|fail)\b": "even if ... is",
    r"(?<!there\s)\b(is|are|was|were) no (?!longer|more|less|faster|slower|such)\w+": (
        "is not a"
    ),
    r"\b(there)?upon\b": "on",
    r"\bbut for\b": "except",
    r"\bvery same\b": "same, identical",
    r"\bwho (computes|reads pictures)\b": "the runtime, the vision encoder",
    r"\bthose (who|that) (wait|ended|ask)\b": "waiting jobs, ended jobs, clients",
    r"\bof its making\b": "that it made",
}
PLAIN = {
    re.compile(phrase.replace(" ", r"\s+"), re.IGNORECASE): plain
    for phrase, plain in PHRASES.items()
}
ANY = re.compile("|".join(pattern.pattern for pattern in PLAIN), re.IGNORECASE)


def files(room: str) -> list[Path]:
    if (ROOT / room).is_file():
        return [ROOT / room]
    found = [path for path in (ROOT / room).rglob("*") if path.suffix in SUFFIXES]
    aside = {Path(__file__)}
    return [p for p in found if p not in aside and "node_modules" not in p.parts]


@pytest.mark.parametrize("room", ROOMS)
def test_prose_is_plain(room: str) -> None:
    """Each finding is a file, line, phrase and what to write instead."""
    found = []
    for path in files(room):
        text = path.read_text()
        pieces = prose_of_python(text) if path.suffix == ".py" else [(1, text)]
        found += [f"{path.relative_to(ROOT)} {one}" for one in findings(pieces)]
    assert files(room)
    assert found == []


def findings(
    pieces: Iterator[tuple[int, str]] | list[tuple[int, str]],
) -> Iterator[str]:
    for line, text in pieces:
        for pattern, plain in PLAIN.items() if ANY.search(text) else ():
            for found in pattern.finditer(text):
                at = line + text.count("\n", 0, found.start())
                yield f"line {at}: {found[0]!r}: {plain}"


def prose_of_python(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of comments, strings, and names of functions and classes."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=str(text)):
                yield node.lineno, text
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name.replace("_", " ")


@pytest.mark.parametrize(
    ("text", "is_plain"),
    [
        ("'5' is no duration.", False),
        ("There is no model.", True),
        ("It is no longer needed.", True),
        ("Answers though the queue be full.", False),
        ("Start it anew.", False),
        ("It is no\nduration.", False),
        ("As many as there are slots.", True),
    ],
)
def test_phrases_are_found(text: str, is_plain: bool) -> None:
    assert (not list(findings([(1, text)]))) is is_plain


def test_comments_strings_and_names_are_prose() -> None:
    source = 'def test_anew() -> None:\n    """Of ours."""  # likewise\n'
    assert [text for _, text in sorted(prose_of_python(source))] == [
        "test anew",
        "# likewise",
        "Of ours.",
    ]
