"""Schemas of clients: read in full, or refused by keyword and path."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext, suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import InvalidRequest
from edge.schemas.reading import read

AT = "response_format.json_schema.schema"


def an_object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"const": 1}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


def of(schema: Any) -> Any:
    return json.loads(read(schema))


# What is refused, and where.
REFUSED: dict[str, tuple[Any, str]] = {
    **{
        f"keyword {key}": (an_object(a={key: value}), f".properties.a.{key}")
        for key, value in {
            "not": {"const": "b"},
            "if": {},
            "then": {},
            "else": {},
            "uniqueItems": True,
            "patternProperties": {"a": {}},
            "propertyNames": {},
            "dependentRequired": {},
            "dependentSchemas": {},
            "contains": {},
            "minContains": 1,
            "unevaluatedProperties": False,
            "unevaluatedItems": False,
            "$dynamicRef": "#",
            "$id": "x",
            "nonsense": 1,
        }.items()
    },
    **{
        f"pattern {pattern!r}": (
            an_object(a={"pattern": pattern}),
            ".properties.a.pattern",
        )
        for pattern in ("^a{1,1000000}$", "^[a-Z]$", "^[z-a]$", "(?=a)a", "(", r"\1")
    },
    "pattern of no text": (an_object(a={"pattern": 5}), ".properties.a.pattern"),
    "reversed lengths": (
        an_object(a={"minLength": 5, "maxLength": 4}),
        ".properties.a.minLength",
    ),
    "negative length": (an_object(a={"maxLength": -1}), ".properties.a.maxLength"),
    "broken length": (an_object(a={"maxLength": 1.5}), ".properties.a.maxLength"),
    "long as text": (an_object(a={"maxLength": "9"}), ".properties.a.maxLength"),
    "endless length": (an_object(a={"maxLength": 2**31}), ".properties.a.maxLength"),
    "huge minLength": (
        an_object(a={"minLength": 20_000_000}),
        ".properties.a.minLength",
    ),
    "huge minItems": ({"type": "array", "minItems": 30_000_000}, ".minItems"),
    "no number fits": (an_object(a={"minimum": 5, "maximum": 4}), ".properties.a"),
    "no integer fits": (
        an_object(a={"type": "integer", "minimum": 1.1, "maximum": 1.9}),
        ".properties.a",
    ),
    "no multiple fits": (
        an_object(a={"type": "integer", "multipleOf": 7, "minimum": 1, "maximum": 6}),
        ".properties.a",
    ),
    "broken multipleOf": (an_object(a={"multipleOf": 0.1}), ".properties.a.multipleOf"),
    "far minimum": (an_object(a={"minimum": 2**60}), ".properties.a.minimum"),
    "inexact const": (an_object(a={"const": 2**60}), ".properties.a.const"),
    "empty enum": (an_object(a={"enum": []}), ".properties.a.enum"),
    "huge enum": ({"enum": [*range(2000)]}, ".enum"),
    "no value of the type": ({"type": "string", "enum": [1]}, ".enum"),
    "unknown type": (an_object(a={"type": "file"}), ".properties.a.type"),
    "empty type": (an_object(a={"type": []}), ".properties.a.type"),
    "no schema": (an_object(a=[1, 2]), ".properties.a"),
    "properties in a list": ({"type": "object", "properties": ["a"]}, ".properties"),
    "required is not a list": ({"type": "object", "required": "a"}, ".required"),
    "control character in a name": (an_object(**{"a\nb": {}}), ".properties['a\\nb']"),
    "remote reference": (
        an_object(a={"$ref": "https://example.com/x.json"}),
        ".properties.a.$ref",
    ),
    "missing reference": (an_object(a={"$ref": "#/$defs/no"}), ".properties.a.$ref"),
    "anchor": (an_object(a={"$ref": "#no"}), ".properties.a.$ref"),
    "loop": ({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, ".$defs.a"),
    "loop through allOf": (
        {
            "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}, {"type": "integer"}]}},
            "$ref": "#/$defs/a",
        },
        ".$defs.a",
    ),
    "root is itself": ({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}, ""),
    "empty anyOf": (an_object(a={"anyOf": []}), ".properties.a.anyOf"),
    "many branches": ({"anyOf": [{"const": i} for i in range(200)]}, ".anyOf"),
    "overlapping oneOf": (
        {"oneOf": [{"type": "integer"}, {"type": "number"}]},
        ".oneOf",
    ),
    "many properties": (
        an_object(**{f"p{i}": True for i in range(600)}),
        ".properties",
    ),
    "minProperties": ({"type": "object", "minProperties": 2}, ".minProperties"),
    "deep": (nested(200), ""),
    "large": ({"enum": ["x" * 70_000]}, ""),
    "many values": ({"enum": [[1] * 200] * 100}, ""),
    "many patterns": (
        {"anyOf": [{"pattern": "a" * 1_900 + str(i)} for i in range(9)]},
        "",
    ),
    "half a character": (an_object(a={"enum": ["\ud83d"]}), ""),
    "no finite number": (an_object(a={"const": float("inf")}), ""),
    "nothing": (
        {"type": "object", "properties": {"a": {"enum": [1], "type": "null"}}},
        ".properties.a.enum",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_schema_is_refused_by_its_keyword_and_path(name: str) -> None:
    schema, place = REFUSED[name]
    with pytest.raises(InvalidRequest) as refusal:
        read(schema)
    assert refusal.value.param == AT + place
    assert refusal.value.message.startswith(AT + place)
    assert len(refusal.value.message) < 800


def test_a_refusal_has_the_path_of_the_definition() -> None:
    bad = {"type": "array", "prefixItems": [{"type": "string", "not": {}}]}
    schema = {"$defs": {"A/B": bad}} | an_object(a={"$ref": "#/$defs/A~1B"})
    with pytest.raises(InvalidRequest) as refusal:
        read(schema)
    assert refusal.value.param == f"{AT}.$defs['A/B'].prefixItems[0].not"


def test_a_long_path_becomes_a_short_param() -> None:
    schema: Any = {"not": {}}
    for _ in range(30):
        schema = {"type": "object", "properties": {"x" * 300: schema}}
    with pytest.raises(InvalidRequest) as refusal:
        read(schema)
    assert len(refusal.value.param or "") <= 500


@pytest.mark.parametrize("length", [5, 1024, 2000, 4096, 65_536, 2**31 - 1])
def test_lengths_that_clients_write_are_read(length: int) -> None:
    read_ = of({"type": "string", "maxLength": length})
    assert read_ == {"type": "string", "maxLength": length}


def test_annotations_change_nothing() -> None:
    plain = an_object(a={"type": "string"})
    told = an_object(
        a={
            "type": "string",
            "title": "A",
            "description": "x",
            "default": "y",
            "examples": ["z"],
            "deprecated": True,
            "readOnly": True,
            "x-order": 1,
            "$comment": "c",
            "format": "password",
            "uniqueItems": False,
        }
    )
    told["$schema"], told["$id"] = "https://json-schema.org/draft/2020-12/schema", "x"
    assert read(told) == read(plain)


def test_numbers_are_finite_and_exact() -> None:
    found = of({"type": ["integer", "string"]}), of({"type": ["number", "null"]})
    integer, number = found[0]["$defs"]["integer"], found[1]["$defs"]["number"]
    assert (integer["minimum"], integer["maximum"]) == (1 - 2**53, 2**53 - 1)
    assert (number["minimum"], number["maximum"]) == (1 - 2**53, 2**53 - 1)
    bounded = of({"type": "integer", "exclusiveMinimum": 1, "maximum": 4.5})
    assert (bounded["minimum"], bounded["maximum"]) == (2, 4)
    old = of({"type": "integer", "minimum": 1, "exclusiveMinimum": True})
    assert old["minimum"] == 2


def test_an_object_with_properties_is_closed() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "null"}}}
    assert of(schema)["additionalProperties"] is False
    assert "$ref" in of(schema | {"additionalProperties": True})["additionalProperties"]
    # unless it needs one that it does not name, or is put together with others
    assert of(schema | {"required": ["b"]})["additionalProperties"] is not False
    both = {"allOf": [schema, {"type": "object", "properties": {"b": True}}]}
    assert not any("additionalProperties" in part for part in of(both)["allOf"])


def test_one_schema_in_allof_is_that_schema() -> None:
    colour = {"enum": ["red", "blue"]}
    schema = {"$defs": {"C": colour}, "allOf": [{"$ref": "#/$defs/C"}], "title": "x"}
    assert of(schema) == {"$ref": "#/$defs/d0", "$defs": {"d0": colour}}


def test_definitions_of_equal_names_stay_apart() -> None:
    schema = {
        "$defs": {"A": {"$defs": {"Item": {"const": 1}}}, "Item": {"const": 2}},
        **an_object(
            a={"$ref": "#/$defs/A/$defs/Item"},
            b={"$ref": "#/$defs/Item"},
            # a property by a name that a definition has
            Item={"const": 3},
        ),
    }
    read_ = of(schema)
    named = {
        name: read_["$defs"][part["$ref"].rpartition("/")[2]]["enum"]
        for name, part in read_["properties"].items()
        if "$ref" in part
    }
    assert named == {"a": [1], "b": [2]}


def test_values_of_other_types_are_left_out_of_an_enum() -> None:
    assert of({"type": ["string", "null"], "enum": ["a", None, 5]}) == {
        "enum": ["a", None]
    }
    assert of({"type": "integer", "enum": [1, 1.5, True]}) == {"enum": [1]}


DISJOINT = [
    [{"type": "integer"}, {"type": "string"}],
    [{"const": "a"}, {"const": "b"}],
    [{"enum": ["a", 1]}, {"enum": [True, "b"]}],
    [an_object(k={"const": "cat"}), an_object(k={"const": "dog"})],
    [an_object(k={"const": 1}), an_object(other={"const": 1})],
    [{"anyOf": [{"type": "null"}, {"type": "boolean"}]}, {"type": "array"}],
]
OVERLAPPING = [
    [{"type": "integer"}, {"type": "number"}],
    [{"const": 1}, {"type": "integer"}],
    [{}, {"type": "string"}],
    [{"type": "object"}, an_object(k={"const": 1})],
    [{"type": "string", "maxLength": 3}, {"type": "string", "minLength": 2}],
]


@pytest.mark.parametrize("branches", DISJOINT)
def test_disjoint_oneof_becomes_anyof(branches) -> None:
    assert read({"oneOf": branches}) == read({"anyOf": branches})


def test_the_type_beside_oneof_is_that_of_its_branches() -> None:
    branches = [
        {"properties": {"k": {"const": kind}}, "required": ["k"]} for kind in "ab"
    ]
    beside = {"type": "object"}
    assert read(beside | {"oneOf": branches}) == read(beside | {"anyOf": branches})
    for open_ in ({}, {"type": ["object", "array"]}, {"type": 5}):
        with pytest.raises(InvalidRequest):
            read(open_ | {"oneOf": branches})


@pytest.mark.parametrize(
    "schema",
    [
        {
            "type": "integer",
            "oneOf": [
                {"type": "number", "minimum": 0},
                {"type": "integer", "maximum": 10},
            ],
        },
        {
            "type": "number",
            "oneOf": [
                {"type": "integer", "minimum": 0},
                {"type": "integer", "maximum": 10},
            ],
        },
        {"type": "number", "oneOf": [{"const": 5}, {"enum": [5, 6]}]},
    ],
)
def test_integers_are_numbers_beside_oneof_too(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="same value"):
        read(schema)


def test_true_is_not_1() -> None:
    assert of({"const": 1, "enum": [True, 1]}) == {"enum": [1]}
    assert of({"const": True, "enum": [True, 1]}) == {"enum": [True]}


@pytest.mark.parametrize("branches", OVERLAPPING)
def test_overlapping_oneof_is_refused(branches) -> None:
    for some in (branches, branches[::-1]):
        with pytest.raises(InvalidRequest, match="anyOf"):
            read({"oneOf": some})


def test_a_format_is_held_to_where_it_is_known() -> None:
    assert "pattern" in of({"type": "string", "format": "date"})
    assert of({"type": "string", "format": "colour"}) == {"type": "string"}


KEYWORDS = [
    "type",
    "properties",
    "required",
    "items",
    "enum",
    "const",
    "anyOf",
    "allOf",
    "oneOf",
    "$ref",
    "$defs",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "a",
    "multipleOf",
    "additionalProperties",
    "prefixItems",
    "minItems",
    "format",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(KEYWORDS) | st.text(max_size=4),
            inner | st.sampled_from(["string", "object", "#", "#/$defs/a", "array"]),
            max_size=5,
        )
    ),
    max_leaves=25,
)


@settings(max_examples=400)
@given(JSON)
def test_any_json_is_a_schema_or_is_refused(schema: Any) -> None:
    try:
        json.loads(read(schema))
    except InvalidRequest as refusal:
        assert refusal.param
        assert refusal.param.startswith(AT)


PAIRS: dict[str, tuple[Any, Any]] = {
    "lists of values": (
        {"enum": [*range(1000)]},
        {"enum": [str(n) for n in range(1000)]},
    ),
    "one value": ({"enum": [1] * 1000}, {"enum": [""] * 300}),
    "long values": ({"const": [1] * 800}, {"const": [2] * 500}),
    "wide values": (
        {"const": {f"{n}": n for n in range(400)}},
        {"const": {f"{n}": n + 1 for n in range(400)}},
    ),
    "many types": ({"type": ["string"] * 2000}, {"type": ["null"] * 2000}),
    "requirements": (
        {
            "type": "object",
            "required": [f"r{n}" for n in range(400)],
            "properties": {f"r{n}": {"type": "string"} for n in range(400)},
        },
        {"type": "object", "properties": {f"r{n}": {} for n in range(400)}},
    ),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("n_branches", [2, 10, 100])
def test_branches_are_compared_in_bounded_time(
    pair: tuple[Any, Any], n_branches: int
) -> None:
    """The same again and again, by its name: 4 KB took fifteen seconds."""
    branch = [{"$ref": "#/$defs/a"}] * n_branches
    other = [{"$ref": "#/$defs/b"}] * n_branches
    schema = {
        "$defs": {
            "a": pair[0],
            "b": pair[1],
            "c": {"anyOf": branch},
            "d": {"anyOf": other},
        },
        "oneOf": [
            {"anyOf": [{"$ref": "#/$defs/c"}] * n_branches},
            {"anyOf": [{"$ref": "#/$defs/d"}] * n_branches},
        ],
    }
    began = time.thread_time()
    with suppress(InvalidRequest):
        read(schema)
    assert time.thread_time() - began < 1


@pytest.mark.parametrize(
    ("one", "other", "fits"),
    [
        ([1, 2], [3], True),
        ([1, 2], [2.0], False),
        ([True], [1], True),
        (["a", None], [None], False),
        ([[1, "a"]], [[1.0, "a"]], False),
        ([{"a": 1, "b": 2}], [{"b": 2, "a": 1}], False),
        (["1"], [1], True),
    ],
)
def test_lists_of_values_are_compared_as_json_compares_them(
    one: list[Any], other: list[Any], fits: bool
) -> None:
    schema = {"oneOf": [{"enum": one}, {"enum": other}]}
    with nullcontext() if fits else pytest.raises(InvalidRequest, match="same value"):
        read(schema)
