"""Function calls in the form of Qwen3-VL: written, constrained, read again."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.qwen3vl.call_reader import (
    Arguments,
    Called,
    CallReader,
    Found,
    Text,
    TextReader,
)
from edge.qwen3vl.tools import Function, calls_text, grammar, system_text
from edge.schemas.reading import read
from edge.structured.matcher import Constraint, Vocabulary

END = 256
BYTES = Vocabulary([bytes([byte]) for byte in range(256)] + [b""], [END])
CODE = {
    "type": "object",
    "properties": {"code": {"type": "integer"}},
    "required": ["code"],
}
LOOK_UP = Function("look_up", read(CODE))
DRAW = Function("draw", read({"type": "object", "properties": {}}))
CALL = '<tool_call>\n{"name": "look_up", "arguments": {"code":7}}\n</tool_call>'
OTHER = '<tool_call>\n{"name": "draw", "arguments": {}}\n</tool_call>'


def fits(grammar: str, text: str) -> bool:
    """Whether `text` is an answer by this grammar."""
    constraint = Constraint(BYTES, grammar)
    for byte in text.encode():
        if not constraint.allows(byte):
            return False
        constraint.accept(byte)
    return constraint.forced() == [END] or constraint.allows(END)


@pytest.mark.parametrize(
    ("text", "auto", "one", "required", "json"),
    [
        ("It is red.", True, True, False, False),
        ("", True, True, False, False),
        ("a <tool_ b", True, True, False, False),
        (CALL, True, True, True, True),
        (OTHER, True, True, True, True),
        ("Let me see.\n" + CALL, True, True, False, False),
        (f"{CALL}\n{OTHER}", True, False, True, True),
        (CALL + " and more", True, False, False, False),
        (CALL[:-3], False, False, False, False),
        (CALL.replace("look_up", "format_disk"), False, False, False, False),
        (CALL.replace("7", '"seven"'), False, False, False, False),
        (CALL.replace("{", "{ ", 1), False, False, False, False),
        ('{"code":7}', True, True, False, True),
    ],
)
def test_an_answer_calls_only_what_is_offered(
    text: str, auto: bool, one: bool, required: bool, json: bool
) -> None:
    both = [LOOK_UP, DRAW]
    assert fits(grammar(both, must_call=False, one_call=False), text) == auto
    assert fits(grammar(both, must_call=False, one_call=True), text) == one
    assert fits(grammar(both, must_call=True, one_call=False), text) == required
    held = grammar(both, must_call=False, one_call=False, answer=read(CODE))
    assert fits(held, text) == json


def test_a_required_call_has_no_other_beginning() -> None:
    constraint = Constraint(BYTES, grammar([LOOK_UP], must_call=True, one_call=True))
    forced = bytes(constraint.forced()).decode()
    assert forced == '<tool_call>\n{"name": "look_up", "arguments": {"code":'


def test_tools_and_calls_are_written_as_the_model_knows_them() -> None:
    tool = {"type": "function", "function": {"name": "draw", "description": "画"}}
    text = system_text("Be brief.", [tool, tool])
    assert text.startswith("Be brief.\n\n# Tools\n\nYou may call one or more")
    listed = text.partition("<tools>\n")[2].partition("\n</tools>")[0]
    assert listed == "\n".join([json.dumps(tool, ensure_ascii=False)] * 2)
    assert system_text("", [tool]).startswith("# Tools")
    calls = [("look_up", '{"code":7}'), ("draw", "{}")]
    assert calls_text("", calls) == f"{CALL}\n{OTHER}"
    assert calls_text("See:", calls[:1]) == f"See:\n{CALL}"


# --- read again -------------------------------------------------------------------


def read_all(reader: CallReader | TextReader, pieces: list[str]) -> list[Found]:
    found = [part for piece in pieces for part in reader.feed(piece)]
    return joined([*found, *reader.end()])


def joined(found: list[Found]) -> list[Found]:
    """The same, with neighbouring pieces of a text or of arguments in one."""
    result: list[Any] = []
    for part in found:
        match result[-1:], part:
            case [Text(a)], Text(b):
                result[-1] = Text(a + b)
            case [Arguments(i, a)], Arguments(_, b):
                result[-1] = Arguments(i, a + b)
            case _:
                result.append(part)
    return result


SEVEN: list[Found] = [Called(0, "look_up"), Arguments(0, '{"code":7}')]
ANSWERS: dict[str, tuple[str, list[Found]]] = {
    "text": ("It is red.", [Text("It is red.")]),
    "nothing": ("", []),
    "white space": (" \n ", []),
    "space around text": (" It is\n red. ", [Text("It is\n red.")]),
    "a call": (CALL, SEVEN),
    "text and a call": ("Wait.\n\n" + CALL, [Text("Wait."), *SEVEN]),
    "two calls": (f"{CALL}\n{OTHER}", [*SEVEN, Called(1, "draw"), Arguments(1, "{}")]),
    "a call and text": (CALL + "\nSo.", [*SEVEN, Text("So.")]),
    "what looks like a call": ("1 <tool_box> 2", [Text("1 <tool_box> 2")]),
    "the beginning of a call": ("a <tool_ca", [Text("a <tool_ca")]),
    "a call that is none": (
        "<tool_call>7</tool_call>!",
        [Text("<tool_call>7</tool_call>!")],
    ),
    "cut in its name": (
        '<tool_call>\n{"name": "lo',
        [Text('<tool_call>\n{"name": "lo')],
    ),
    "cut in its arguments": (
        '<tool_call>\n{"name": "draw", "arguments": {"a": "\\\\',
        [Called(0, "draw"), Arguments(0, '{"a": "\\\\')],
    ),
    "cut behind its arguments": (CALL[:-5], SEVEN),
    "brackets in texts": (
        calls_text("", [("draw", '{"a":"}\\"]{\\\\","b":[{}]}')]),
        [Called(0, "draw"), Arguments(0, '{"a":"}\\"]{\\\\","b":[{}]}')],
    ),
}


@pytest.mark.parametrize(("text", "found"), ANSWERS.values(), ids=ANSWERS)
def test_calls_are_found_however_the_answer_comes(
    text: str, found: list[Found]
) -> None:
    assert read_all(CallReader(), [text]) == found
    assert read_all(CallReader(), list(text)) == found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(
    st.lists(st.dictionaries(st.text(), JSON), max_size=3),
    st.text("ab <{}\\\"'\n").map(str.strip),
    st.booleans(),
    st.lists(st.integers(0, 400)),
)
def test_what_is_written_is_read(
    arguments: list[Any], text: str, is_ascii: bool, cuts: list[int]
) -> None:
    """And after each piece as much as after the same text in other pieces."""
    dumped = [json.dumps(one, ensure_ascii=is_ascii) for one in arguments]
    written = calls_text(text, [("f", one) for one in dumped])
    places = sorted({0, len(written), *(cut for cut in cuts if cut < len(written))})
    pieces = [written[a:b] for a, b in pairwise(places)]
    expected: list[Found] = [Text(text)] if text else []
    for i, one in enumerate(dumped):
        expected += [Called(i, "f"), Arguments(i, one)]
    assert read_all(CallReader(), pieces) == expected
    parts, whole = CallReader(), CallReader()
    seen: list[Found] = []
    for n, piece in enumerate(pieces):
        seen += parts.feed(piece)
        whole = CallReader()
        assert joined(seen) == joined(whole.feed("".join(pieces[: n + 1])))


@given(st.lists(st.text()))
def test_an_answer_without_tools_is_text(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert read_all(TextReader(), pieces) == ([Text(text)] if text else [])
