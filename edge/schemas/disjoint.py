"""Whether no value fits two schemas at once: then `oneOf` is the same as `anyOf`."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

MAX_DEPTH = 8  # of compared schemas; deeper ones count as "may overlap"
MAX_STEPS = 10_000  # comparisons; more count as "may overlap"
VALUES_A_STEP = 100  # of two enums, which take as long as one comparison
TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")

# The type that a keyword constrains.
OF_TYPE = {
    **dict.fromkeys(("minLength", "maxLength", "pattern", "format"), "string"),
    **dict.fromkeys(("minimum", "maximum", "multipleOf"), "number"),
    **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum"), "number"),
    **dict.fromkeys(("items", "prefixItems", "additionalItems"), "array"),
    **dict.fromkeys(("minItems", "maxItems"), "array"),
    **dict.fromkeys(("properties", "additionalProperties", "required"), "object"),
    **dict.fromkeys(("minProperties", "maxProperties"), "object"),
}

NUMBERS = {"integer", "number"}  # an integer is also a number

Schema = dict[str, Any]
Resolve = Callable[[str], Any]  # the schema that a $ref names


def type_of(value: Any) -> str:
    """The JSON type of a value; a whole number is an integer, also 1.0."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return "integer"
    names = {float: "number", str: "string", list: "array", dict: "object"}
    return names[type(value)]


def canonical(value: Any) -> str:
    """The same text for values that are equal, and for no others; true is not 1."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, dict):
        pairs = sorted((json.dumps(key), canonical(one)) for key, one in value.items())
        return "{" + ",".join(f"{key}:{one}" for key, one in pairs) + "}"
    return json.dumps(value)


class Disjoint:
    """Compares schemas within `MAX_STEPS`; beyond that all may overlap.

    The types and values of a schema are read once, however many references it has: so
    reading takes time by the length of the document, and comparing by the steps.
    """

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._n_left = MAX_STEPS
        # by the identity of a schema, which outlives this
        self._values: dict[int, frozenset[str] | None] = {}
        self._types: dict[int, frozenset[str]] = {}

    def are(
        self, one: Any, other: Any, depth: int = 0, within: Collection[str] = TYPES
    ) -> bool:
        """True when certainly no value of the types `within` fits both."""
        self._n_left -= 1
        if depth > MAX_DEPTH or self._n_left < 0:
            return False
        one, other = self._resolved(one), self._resolved(other)
        if one is False or other is False:
            return True
        if not isinstance(one, dict) or not isinstance(other, dict):
            return False
        for either, other_side in ((one, other), (other, one)):
            for key in ("anyOf", "oneOf"):
                branches = either.get(key)
                if isinstance(branches, list) and all(
                    self.are(branch, other_side, depth + 1, within)
                    for branch in branches
                ):
                    return True
        if not NUMBERS.isdisjoint(within):  # an integer is among both
            within = NUMBERS.union(within)
        types = self._types_of(one).intersection(within)
        others = self._types_of(other).intersection(within)
        if not types & others and not (types & NUMBERS and others & NUMBERS):
            return True
        values, other_values = self._values_of(one), self._values_of(other)
        if values is not None and other_values is not None:
            self._n_left -= min(len(values), len(other_values)) // VALUES_A_STEP
            return self._n_left > 0 and values.isdisjoint(other_values)
        return types == others == {"object"} and self._objects(one, other, depth)

    def _values_of(self, schema: Schema) -> frozenset[str] | None:
        """The only values that fit, in canonical form; None if others may."""
        if id(schema) not in self._values:
            values = _values(schema)
            self._values[id(schema)] = (
                None if values is None else frozenset(map(canonical, values))
            )
        return self._values[id(schema)]

    def _types_of(self, schema: Schema) -> frozenset[str]:
        if id(schema) not in self._types:
            self._types[id(schema)] = frozenset(types_in(schema))
        return self._types[id(schema)]

    def _resolved(self, schema: Any) -> Any:
        for _ in range(MAX_DEPTH):
            if not isinstance(schema, dict):
                break
            if isinstance(schema.get("$ref"), str):
                schema = self._resolve(schema["$ref"])
            elif isinstance(parts := schema.get("allOf"), list) and len(parts) == 1:
                schema = parts[0]
            else:
                break
        return schema

    def _objects(self, one: Schema, other: Schema, depth: int) -> bool:
        """Whether a property that one of them requires cannot fit the other."""
        for either, other_side in ((one, other), (other, one)):
            mine, others = (
                either.get("properties", {}),
                other_side.get("properties", {}),
            )
            required = either.get("required", [])
            if not all(isinstance(kind, dict) for kind in (mine, others)):
                return False
            for name in required if isinstance(required, list) else []:
                if not isinstance(name, str):
                    return False
                theirs = others.get(name, other_side.get("additionalProperties", True))
                if self.are(mine.get(name, True), theirs, depth + 1):
                    return True
        return False


def _values(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    values = schema.get("enum")
    return values if isinstance(values, list) else None


def types_in(schema: Schema) -> set[str]:
    """The JSON types that its `type` or its values allow: all without them."""
    if (values := _values(schema)) is not None:
        return {type_of(value) for value in values}
    named = schema.get("type")
    types = [named] if isinstance(named, str) else named
    # what is wrong with it is said where it is read
    return set(map(str, types)) if isinstance(types, list) and types else set(TYPES)
