"""The OpenAPI document describes every path of the APIs, and what they accept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.ui.api_harness import ApiHarness
from ui.openapi import PATH, is_api
from ui.surface import SURFACE

OPERATIONS = [
    (method.lower(), route)
    for route in SURFACE
    if is_api(route.path) and route.path != PATH
    for method in route.methods
    if method != "HEAD"
]


async def document(web: ApiHarness) -> dict[str, Any]:
    answer = await web.http.get(PATH)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def same_path(one: str, other: str) -> bool:
    """Whether two paths differ in the names of their placeholders at most."""
    pieces = [path.replace("{", "/{").split("/") for path in (one, other)]
    return len(pieces[0]) == len(pieces[1]) and all(
        a == b or (a[:1] == b[:1] == "{") for a, b in zip(*pieces, strict=True)
    )


@pytest.mark.parametrize(
    ("method", "route"), OPERATIONS, ids=[f"{m} {r.path}" for m, r in OPERATIONS]
)
async def test_every_path_is_described(
    web: ApiHarness, method: str, route: Any
) -> None:
    """Say `@documented(...)` of its handler."""
    paths = (await document(web))["paths"]
    [found] = [path for path in paths if same_path(path, route.path)]
    operation = paths[found][method]
    if route.body and method == "post" and not route.path.endswith("/cancel"):
        [body] = operation["requestBody"]["content"].values()
        assert body["schema"]
    assert operation["responses"]["200"]["content"]
    assert set(operation["responses"]) == {"200", "4XX", "5XX"}


async def test_nothing_else_is_described(web: ApiHarness) -> None:
    for path in (await document(web))["paths"]:
        assert any(same_path(path, route.path) for _, route in OPERATIONS), path


async def test_every_reference_leads_to_a_valid_schema(web: ApiHarness) -> None:
    whole = await document(web)
    schemas = whole["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    text = json.dumps(whole)
    named = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= schemas.keys()
    ids = [
        one["operationId"] for ways in whole["paths"].values() for one in ways.values()
    ]
    assert len(set(ids)) == len(ids)


async def test_it_has_no_script_and_is_open_to_all(web: ApiHarness) -> None:
    answer = await web.http.get(PATH)
    assert answer.headers["content-type"] == "application/json"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert (await web.http.head(PATH)).status_code == 200
    assert (await document(web))["security"] == [{"key": []}, {}]


def question(content: Any = "hello", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]} | more


FORGIVEN: list[dict[str, Any]] = [
    question(),
    question(["a", {"type": "text", "text": "b"}]),
    question([{"type": "image_url", "image_url": "data:,"}]),
    question([{"type": "image_url", "image_url": {"url": "", "detail": "original"}}]),
    question(model=None, stream=None, stop=None, tools=None, response_format=None),
    question(max_tokens=100.0, top_k=-1, stop="a"),
    question(tool_choice="none", stream_options=None, user="me", x={"y": [1]}),
    {"messages": [{"role": "assistant", "content": None}]},
]
WRONG: list[Any] = [
    {},
    {"messages": []},
    {"messages": None},
    [],
    question(7),
    question([{"type": "audio"}]),
    question([{"type": "image_url"}]),
    question(temperature="1"),
    question(top_k=-2),
    question(max_tokens=0),
    question(max_tokens=1.5),
    question(stream="yes"),
    question(n=0),
    question(stop=["a"] * 17),
    question(tool_choice="maybe"),
    question(response_format={"type": "xml"}),
]


async def test_the_schema_of_a_body_accepts_what_the_server_accepts(
    web: ApiHarness,
) -> None:
    whole = await document(web)
    validator = Draft202012Validator(
        {"$ref": "#/components/schemas/ChatBody", "components": whole["components"]}
    )
    for body in FORGIVEN:
        assert [*validator.iter_errors(body)] == [], body
    for body in WRONG:
        assert not validator.is_valid(body), body
        answer = await web.http.post("/v1/chat/completions", json=body)
        assert answer.status_code == 400, body
