"""Payloads of the page, rebuilt: only texts and uploads of the caller pass."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import BodyTooLarge, EdgeError, InvalidRequest, NotFound
from ui.payloads import (
    MOST_FILES,
    MOST_MESSAGES,
    MOST_TEXT,
    SHAPES,
    parse,
    rebuild_call,
)

FUNCTIONS = dict(enumerate(SHAPES))
NUMBER = {name: number for number, name in FUNCTIONS.items()}
MINE = "/tmp/uploads/a/mine.png"


def find(path: str) -> Any:
    if path != MINE:
        raise NotFound("No.")
    return SimpleNamespace(path=MINE, media_type="image/png")


def join(name: str, *data: Any, **more: Any) -> dict[str, Any]:
    body = {"fn_index": NUMBER[name], "data": [*data], "session_hash": "s"} | more
    return rebuild_call(body, FUNCTIONS, find)


def said(role: str, *parts: Any) -> dict[str, Any]:
    return {"role": role, "content": [*parts]}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def file(path: str = MINE, **more: Any) -> dict[str, Any]:
    return {"type": "file", "file": {"path": path} | more}


# JSON in which keys and values that mean something are frequent
words = st.sampled_from(
    [
        *(
            "path",
            "url",
            "file",
            "type",
            "text",
            "component",
            "role",
            "content",
            "user",
        ),
        "assistant",
        "files",
        "meta",
        "_type",
        "gradio.FileData",
        "value",
        "image",
        *(
            MINE,
            "/etc/passwd",
            "http://8.8.8.8/",
            "data",
            "root",
            "metadata",
            "options",
        ),
    ]
)
values = st.recursive(
    st.one_of(words, st.none(), st.booleans(), st.integers(), st.floats()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(words, inner, max_size=5)
    ),
    max_leaves=25,
)


@given(st.sampled_from([*SHAPES]), st.lists(values, max_size=3))
def test_only_known_paths_pass(name: str, data: list[Any]) -> None:
    try:
        passed = join(name, *data)
    except EdgeError as refusal:
        assert refusal.status in (400, 404, 413)
        return
    for key, value in leaves(passed["data"]):
        assert key in ("path", "mime_type", "text", "type", "role", "_type")
        assert key != "path" or value == MINE


def leaves(item: Any, key: str = "") -> list[tuple[str, Any]]:
    if isinstance(item, dict):
        return [leaf for k, v in item.items() for leaf in leaves(v, k)]
    if isinstance(item, list):
        return [leaf for v in item for leaf in leaves(v, key)]
    return [(key, item)]


def test_a_question_about_a_picture_passes_and_loses_all_that_is_not_needed() -> None:
    url = "http://evil.example/"
    history = [
        said("user", file(url=url, size=1), text("What?"))
        | {"metadata": {"title": "x"}},
        said("assistant", text("A cat.")) | {"options": [{"value": "x"}]},
    ]
    passed = join("ask", {"text": "And?", "files": [file(url=url)["file"]]}, history)
    picture = {
        "path": MINE,
        "mime_type": "image/png",
        "meta": {"_type": "gradio.FileData"},
    }
    assert passed["data"] == [
        {"text": "And?", "files": [picture]},
        [
            said("user", {"type": "file", "file": picture}, text("What?")),
            said("assistant", text("A cat.")),
        ],
    ]


@pytest.mark.parametrize(
    "history",
    [
        [said("system", text("x"))],
        [said("user", text("x")) | {"role": ["user"]}],
        [said("user", "x")],
        [said("user", {"type": "component", "component": "image", "value": {}})],
        [said("user", {"type": "file", "text": "x"})],
        [said("user", {"type": "file", "file": MINE})],
        [said("user", {"type": "text", "text": ["x"]})],
        [{"role": "user", "content": "x"}],
        {"root": []},
        "x",
    ],
)
def test_an_unknown_shape_is_refused(history: Any) -> None:
    for name in ("retry", "undo"):
        with pytest.raises(InvalidRequest):
            join(name, history)


def test_a_conversation_is_bounded_in_each_way() -> None:
    full = [said("user", text("x" * (MOST_TEXT // 2)))] * 2
    assert join("retry", full)
    with pytest.raises(BodyTooLarge):
        join("retry", [*full, said("user", text("x"))])
    with pytest.raises(BodyTooLarge):
        join("retry", [said("user", file())] * (MOST_FILES + 1))
    with pytest.raises(EdgeError):
        join("retry", [said("user", text(""))] * (MOST_MESSAGES + 1))


def test_a_picture_of_another_caller_is_not_found() -> None:
    with pytest.raises(NotFound):
        join("retry", [said("user", file("/tmp/uploads/a/yours.png"))])


@given(st.binary(max_size=200))
def test_bytes_are_a_json_object_or_refused(body: bytes) -> None:
    try:
        assert isinstance(parse(body), dict)
    except EdgeError as refusal:
        assert refusal.code == "invalid_json"


def test_depth_does_not_get_past_the_bounds() -> None:
    for body in (b"[" * 200_000, b'{"a":' * 50_000 + b"1" + b"}" * 50_000):
        with pytest.raises(EdgeError):
            rebuild_call(parse(body), FUNCTIONS, find)
    assert parse(json.dumps({"a": 1}).encode()) == {"a": 1}
