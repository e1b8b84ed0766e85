"""The keywords of JSON Schema that are known here, and what they are for."""

from __future__ import annotations

from typing import Any

from edge.schemas.disjoint import OF_TYPE

# They change nothing about which values fit.
ANNOTATIONS = {
    "$anchor",
    "$comment",
    "$schema",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "deprecated",
    "description",
    "discriminator",
    "example",
    "examples",
    "externalDocs",
    "nullable",
    "readOnly",
    "title",
    "writeOnly",
    "xml",
}
CONTAINERS = ("$defs", "definitions")
IN_PLACE = ("$ref", "allOf", "anyOf", "oneOf")  # schemas of the same value
VALUES = ("const", "enum")
KNOWN = ANNOTATIONS | {*CONTAINERS, *IN_PLACE, *VALUES, *OF_TYPE, "type"}


def combines(schema: Any) -> bool:
    """Whether some object puts schemas together, so that one must not be closed
    without the others."""
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            said = node.keys() - ANNOTATIONS - {*CONTAINERS, "type"}
            n_parts = len(node["allOf"]) if isinstance(node.get("allOf"), list) else 1
            if said & {*IN_PLACE} and (len(said) > 1 or n_parts > 1):
                return True
            if said & {*VALUES} and "properties" in said:
                return True
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return False
