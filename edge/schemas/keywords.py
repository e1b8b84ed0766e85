"""The keywords of JSON Schema that are known here, by their purpose."""

from __future__ import annotations

from typing import Any

from edge.schemas.disjoint import OF_TYPE

# They do not change which values fit.
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
    """Whether some schema combines others, so that none of these may be closed by
    itself."""
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            used = node.keys() - ANNOTATIONS - {*CONTAINERS, "type"}
            n_parts = len(node["allOf"]) if isinstance(node.get("allOf"), list) else 1
            if used & {*IN_PLACE} and (len(used) > 1 or n_parts > 1):
                return True
            if used & {*VALUES} and "properties" in used:
                return True
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return False
