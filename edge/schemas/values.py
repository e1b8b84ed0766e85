"""Schemas of strings and numbers, in the form that the matcher enforces."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from typing import Any

from edge.schemas.bounds import LARGEST, MAX_LEAST, MAX_LENGTH, Place
from edge.schemas.formats import PATTERNS
from edge.schemas.pattern import whole_string
from edge.schemas.pattern_reader import UnreadablePattern

Schema = dict[str, Any]

ANY_DEPTH = 12  # how deep a value of any kind may be nested

# Ten digits after the point: a model that is forced to write digits ends its number.
_SMALLEST_STEP = 1e-10
_LARGEST_STEP = 1_000  # multipleOf: the remainders are states of the matcher


def number_of(node: Schema, key: str, place: Place) -> int | float | None:
    """The number of `key`; None if it is absent."""
    value = node.get(key)
    if value is None and key not in node:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise (place / key).refusal(f"{key} must be a number.")
    return value


def whole_number_of(
    node: Schema, key: str, place: Place, most: int = MAX_LENGTH
) -> int | None:
    """The count of `key`; None if it is absent. Raises InvalidRequest beyond `most`."""
    value = number_of(node, key, place)
    if value is None:
        return None
    if value < 0 or value != math.floor(value):
        raise (place / key).refusal(f"{key} must be a whole number, at least 0.")
    if value > most:
        raise (place / key).refusal(f"{key} is {value}; at most {most:,} is allowed.")
    return int(value)


def range_of(
    node: Schema, least_key: str, most_key: str, place: Place
) -> tuple[int, int | None]:
    """The fewest and the most that are allowed."""
    least = whole_number_of(node, least_key, place, MAX_LEAST) or 0
    most = whole_number_of(node, most_key, place)
    if most is not None and least > most:
        raise (place / least_key).refusal(
            f"{least_key} {least} is more than {most_key} {most}: nothing fits."
        )
    return least, most


def string_schema(node: Schema, place: Place) -> Schema:
    """Strings that fit `minLength`, `maxLength`, `pattern` and `format`."""
    least, most = range_of(node, "minLength", "maxLength", place)
    schema: Schema = {"type": "string"}
    if least:
        schema["minLength"] = least
    if most is not None:
        schema["maxLength"] = most
    patterns = []
    for key in ("pattern", "format"):
        if key not in node:
            continue
        text = node[key]
        if not isinstance(text, str):
            raise (place / key).refusal(f"{key} must be a string.")
        try:
            if key == "pattern":
                patterns.append(whole_string(text))
            elif text in PATTERNS:
                patterns.append(_of_format(text))
        except UnreadablePattern as fault:
            raise (place / key).refusal(f"This pattern {fault}.") from None
    if not patterns:
        return schema
    first, *others = patterns
    schema["pattern"] = first
    if others:
        return {"allOf": [schema, *({"pattern": other} for other in others)]}
    return schema


@cache
def _of_format(name: str) -> str:
    return whole_string(PATTERNS[name])


def number_schema(node: Schema, place: Place, *, is_integer: bool) -> Schema:
    """Numbers within their bounds, without those that a double rounds or overflows."""
    step = number_of(node, "multipleOf", place)
    if step is not None and (step <= 0 or step != math.floor(step)):
        raise (place / "multipleOf").refusal(
            "multipleOf is supported for whole numbers, 1 and more."
        )
    if step is not None and step > _LARGEST_STEP:
        raise (place / "multipleOf").refusal(
            f"multipleOf is {step}; at most {_LARGEST_STEP:,} is allowed."
        )
    low, above = _bound(node, "minimum", "exclusiveMinimum", place, -1)
    high, below = _bound(node, "maximum", "exclusiveMaximum", place, 1)
    if is_integer or step is not None:  # a multiple of a whole number is one
        least, most = math.ceil(low), math.floor(high)
        least += above and least == low
        most -= below and most == high
        schema = {"type": "integer", "minimum": least, "maximum": most}
        if step is not None:
            schema["multipleOf"] = int(step)
            least = math.ceil(Fraction(least, int(step))) * int(step)
        is_empty = least > most
    else:
        keys = (
            ("exclusiveMinimum" if above else "minimum"),
            ("exclusiveMaximum" if below else "maximum"),
        )
        schema = {"type": "number", **dict(zip(keys, (low, high), strict=True))}
        is_empty = low > high or (low == high and (above or below))
        if low < high:
            schema["multipleOf"] = _SMALLEST_STEP
    if is_empty:
        raise place.refusal("No number fits between its minimum and its maximum.")
    return schema


def _bound(
    node: Schema, key: str, exclusive_key: str, place: Place, sign: int
) -> tuple[int | float, bool]:
    """The stricter of two bounds, and whether it is exclusive; `sign` is -1 for minima.
    Without a bound it is the largest exact number."""
    found: tuple[int | float, bool] = sign * LARGEST, False
    strict = node.get(exclusive_key)
    if isinstance(strict, bool):  # as in draft 4
        node = {key: node.get(key), exclusive_key: node.get(key) if strict else None}
        node = {name: value for name, value in node.items() if value is not None}
    for name in (key, exclusive_key):
        value = number_of(node, name, place)
        if value is None:
            continue
        if sign * value < -LARGEST:
            raise (place / name).refusal(
                f"{name} is beyond {-sign * LARGEST:,}, the last whole number that "
                "all clients read exactly."
            )
        if sign * value <= sign * found[0]:
            found = value, name == exclusive_key
    return found


def refuse_inexact(values: list[Any], place: Place) -> None:
    """Raises InvalidRequest for a number that clients would round."""
    waiting = [*values]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif not isinstance(value, str | bool | None):
            number_of({"": value}, "", place)
            if abs(value) > LARGEST:
                raise place.refusal(
                    f"{value} is beyond {LARGEST:,}, the last whole number that "
                    "all clients read exactly."
                )


def plain_definitions(name: str) -> dict[str, Schema]:
    """The definitions for `#/$defs/<name>`: integer, number, or any value (any0)."""
    numbers = {
        kind: number_schema({}, Place(""), is_integer=kind == "integer")
        for kind in ("integer", "number")
    }
    if name in numbers:
        return {name: numbers[name]}
    plain = [{"type": "null"}, {"type": "boolean"}, {"type": "string"}]
    plain.append({"$ref": "#/$defs/number"})
    found = {"number": numbers["number"], f"any{ANY_DEPTH}": {"anyOf": plain}}
    for level in range(ANY_DEPTH):
        inner = {"$ref": f"#/$defs/any{level + 1}"}
        nested: list[Schema] = [
            {"type": "array", "items": inner},
            {"type": "object", "additionalProperties": inner},
        ]
        found[f"any{level}"] = {"anyOf": [*plain, *nested]}
    return found
