"""JSON from clients: read as Python's parser reads it, or refused."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import InvalidJson, InvalidRequest
from ui import strict_json
from ui.strict_json import find_quotes, load, outside_strings

TEXT = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\/bnu{}[]')
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)
FINITE = VALUES.filter(lambda value: "Infinity" not in json.dumps(value))


@given(FINITE, st.booleans(), st.sampled_from([None, 1]))
def test_valid_json_is_read_as_python_reads_it(
    value: Any, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert load(text.encode()) == value
    assert load(bytearray(text.encode())) == value


@given(st.binary() | st.text('{}[]:,"\\0 ').map(str.encode))
def test_invalid_json_is_refused(data: bytes) -> None:
    try:
        expected = json.loads(data.decode())
    except ValueError:
        with pytest.raises(InvalidRequest):
            load(data)
        return
    try:
        assert load(data) == expected
    except InvalidRequest as refusal:  # of what Python is too kind to
        assert re.search("twice|NaN|Half|mark|UTF-8", refusal.message)


@pytest.mark.parametrize(
    "text", ["{messages:[]}", "'{\"messages\":[]}'", "{'messages':[]}", '{\\"a\\":1}']
)
def test_quotes_that_a_shell_has_changed_are_told(text: str) -> None:
    with pytest.raises(InvalidJson, match="--data @FILE"):
        load(text.encode())


def test_other_faults_are_not_the_shells() -> None:
    with pytest.raises(InvalidJson) as caught:
        load(b'{"stream": True}')
    assert "FILE" not in caught.value.message


OUTSIDE = st.text("[]{},: 1a").map(str.encode)
INSIDE = st.lists(st.sampled_from([b"\\\\", b'\\"', b"\\n", b"[", b"a", "é".encode()]))


@given(st.lists(st.tuples(OUTSIDE, INSIDE.map(b"".join))), OUTSIDE, st.integers(1, 5))
def test_strings_end_where_they_end_wherever_a_piece_does(
    pairs: list[tuple[bytes, bytes]], last: bytes, n: int
) -> None:
    data = b"".join(b'%s"%s"' % pair for pair in pairs) + last
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict_json, "PIECE", n)
        assert (
            outside_strings(data, find_quotes(data))
            == b"".join(o for o, _ in pairs) + last
        )


@pytest.mark.parametrize("n", [1, 2, 3, 7])
@pytest.mark.parametrize("n_slashes", range(12))
def test_an_even_number_of_backslashes_escapes_no_quote(
    monkeypatch: pytest.MonkeyPatch, n: int, n_slashes: int
) -> None:
    monkeypatch.setattr(strict_json, "PIECE", n)
    data = b'["' + b"\\" * n_slashes + b'" , 1]'
    is_escaped = n_slashes % 2
    assert outside_strings(data, find_quotes(data)) == (
        b"[" if is_escaped else b"[ , 1]"
    )


def test_the_limits_are_legal() -> None:
    deep: Any = 1
    for _ in range(strict_json.MAX_DEPTH):
        deep = [deep]
    assert load(json.dumps(deep).encode()) == deep
    wide = [1] * strict_json.MAX_STRUCTURE
    assert load(json.dumps(wide).encode()) == wide
    number = 10 ** (strict_json.MAX_NUMBER - 1)
    assert load(b"%d" % number) == number
    found = {"url": "[{,:" * 2_000_000}
    assert load(json.dumps(found).encode()) == found


@pytest.mark.parametrize(
    ("text", "param"),
    [
        ('{"a": [{"b": NaN}]}', "a[0].b"),
        ('{"a": [[1, 1e999]]}', "a[0][1]"),
        (r'{"messages": [{"content": "\udfff"}]}', "messages[0].content"),
    ],
)
def test_a_fault_is_found_by_its_path(text: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        load(text.encode())
    assert caught.value.param == param
    assert caught.value.message.startswith(param)


@pytest.mark.parametrize("wide", ["", "é", "好", "😀"])
@pytest.mark.parametrize("n", [strict_json.MAX_TEXT, 12 * strict_json.MAX_TEXT])
def test_only_ascii_pictures_may_be_long(n: int, wide: str) -> None:
    def read(field: str) -> Any:
        return load(json.dumps({field: "x" * n + wide}, ensure_ascii=False).encode())

    for field in (*strict_json.LONG, "text"):
        if n + len(wide) > strict_json.MAX_TEXT and (wide or field == "text"):
            with pytest.raises(InvalidRequest, match="at most 200,000 characters"):
                read(field)
        else:
            assert read(field) == {field: "x" * n + wide}
