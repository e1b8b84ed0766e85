"""Translates a client's schema into one that the matcher enforces in full.

Every keyword is enforced, known as an annotation, or refused by its name and path: none
is ignored. The result is smaller: references have short names, annotations are removed,
numbers have bounds, and an object with properties has no others, unless the schema
allows them or combines objects. Each such choice only narrows the schema: every value
that fits the result fits the original.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from edge.schemas import bounds
from edge.schemas.bounds import Place
from edge.schemas.disjoint import OF_TYPE, TYPES, Disjoint, canonical, type_of, types_in
from edge.schemas.keywords import IN_PLACE, KNOWN, VALUES, combines
from edge.schemas.objects import n_properties, named
from edge.schemas.references import ROOT, References
from edge.schemas.values import (
    Schema,
    number_schema,
    plain_definitions,
    range_of,
    refuse_inexact,
    string_schema,
)


def read(schema: Any, at: str = "response_format.json_schema.schema") -> str:
    """`schema`, which is at `at` in a request, as JSON for the matcher.

    Raises InvalidRequest with the keyword and its path when it is too large, is not a
    schema, or cannot be enforced.
    """
    place = Place(at)
    bounds.count(schema, place)
    text = json.dumps(_Reader(schema, place).read(), separators=(",", ":"))
    if len(text) > bounds.MAX_RESULT:
        raise place.refusal(
            f"This schema takes {len(text):,} characters when it is written out; "
            f"{bounds.MAX_RESULT:,} are allowed. Use fewer classes in patterns."
        )
    return text


class _Reader:
    def __init__(self, root: Any, place: Place) -> None:
        self._root = root
        self._place = place
        self._is_open = combines(root)
        self._references = references = References(root, place)
        self._disjoint = Disjoint(lambda name: references.find(name)[0])
        self._used: set[str] = set()  # definitions of our own
        self._n_read = 0

    def read(self) -> Schema:
        schema = self._read(self._root, self._place, ROOT)
        definitions: dict[str, Any] = {}
        while waiting := self._references.next():
            reference, name = waiting
            target, place = self._references.find(reference)
            definitions[name] = self._read(target, place, reference)
        self._references.refuse_loops()
        for name in self._used:
            definitions |= plain_definitions(name)
        if schema is False:
            raise self._place.refusal("Nothing fits this schema.")
        found: Schema = {} if schema is True else schema
        return found | ({"$defs": definitions} if definitions else {})

    def _read(self, node: Any, place: Place, here: str | None) -> Any:
        """The node; `here` is the reference whose value it constrains in place, if it
        is not a part of that value."""
        self._n_read += 1  # a definition inside of another one is read twice
        if self._n_read > bounds.MAX_NODES:
            raise place.refusal("This schema is too large with all its definitions.")
        if node is True:
            return self._any()
        if node is False:
            return False
        if not isinstance(node, dict):
            raise place.refusal("A schema must be an object, true or false.")
        self._refuse_unknown(node, place)
        parts = [
            self._combined(key, node, place / key, here)
            for key in IN_PLACE
            if key in node
        ]
        if any(key in node for key in VALUES):
            parts.insert(0, self._values(node, place))
            node = {key: node[key] for key in node if key != "type"}
        if "type" in node or any(key in OF_TYPE for key in node):
            parts.append(self._typed(node, place))
        parts = [part for part in parts if part is not True]
        if not parts:
            return self._any()
        return parts[0] if len(parts) == 1 else {"allOf": parts}

    def _refuse_unknown(self, node: Schema, place: Place) -> None:
        for key in node:
            if key in KNOWN or key.startswith("x-"):
                continue
            if key in ("$id", "id") and node is self._root:
                continue
            if key in ("uniqueItems", "$recursiveAnchor") and node[key] is False:
                continue
            raise (place / key).refusal(
                f"{key[:80]!r} is not supported in a schema. Leave it out."
            )

    def _any(self) -> Schema | bool:
        if self._is_open:  # the matcher cannot combine `any` with other schemas
            return True
        self._used.add("any")
        return {"$ref": "#/$defs/any0"}

    def _combined(self, key: str, node: Schema, place: Place, here: str | None) -> Any:
        value = node[key]
        if key == "$ref":
            return self._references.use(value, place, here)
        if not isinstance(value, list) or not value:
            raise place.refusal(f"{key} must be a list with at least one schema.")
        if len(value) > bounds.MAX_BRANCHES:
            raise place.refusal(
                f"{key} has {len(value):,} schemas; {bounds.MAX_BRANCHES} are allowed."
            )
        if key == "oneOf":
            self._refuse_overlap(value, types_in(node), place)
        read = [self._read(part, place / i, here) for i, part in enumerate(value)]
        if key == "allOf":
            read = [part for part in read if part is not True] or [True]
        if len(read) == 1:
            return read[0]
        return {"allOf" if key == "allOf" else "anyOf": read}

    def _refuse_overlap(
        self, branches: list[Any], within: Collection[str], place: Place
    ) -> None:
        for i, branch in enumerate(branches):
            for j in range(i):
                if not self._disjoint.are(branches[j], branch, within=within):
                    raise place.refusal(
                        f"Schemas {j} and {i} of oneOf may fit the same value. Use "
                        "anyOf, or give each object a property with a const of its own."
                    )

    def _values(self, node: Schema, place: Place) -> Any:
        """The values of `enum` or `const` of one of the given types."""
        key = "enum" if "enum" in node else "const"
        values = node[key] if key == "enum" else [node[key]]
        place /= key
        if not isinstance(values, list) or not values:
            raise place.refusal("enum must be a list with at least one value.")
        if len(values) > bounds.MAX_ENUM:
            raise place.refusal(
                f"enum has {len(values):,} values; {bounds.MAX_ENUM:,} are allowed."
            )
        if key == "enum" and "const" in node:
            same = canonical(node["const"])  # unlike ==, true is not 1
            values = [value for value in values if canonical(value) == same]
        refuse_inexact(values, place)
        types = self._types(node, place) if "type" in node else [*TYPES]
        fitting = [
            value
            for value in values
            if (kind := type_of(value)) in types
            or (kind == "integer" and "number" in types)
        ]
        if not fitting:
            raise place.refusal("No value has the given type.")
        return {"enum": fitting}

    def _types(self, node: Schema, place: Place) -> list[str]:
        """The given types; without any, those that the keywords constrain."""
        named = node.get("type")
        if named is None and "type" not in node:
            about = {OF_TYPE[key] for key in node if key in OF_TYPE}
            return [name for name in TYPES if name in about]
        types = named if isinstance(named, list) else [named]
        for name in types:
            if not isinstance(name, str) or name not in TYPES:
                raise (place / "type").refusal(
                    f"{str(name)[:40]!r} is not a type. Types: {', '.join(TYPES)}."
                )
        if not types:
            raise (place / "type").refusal("type must name at least one type.")
        if "number" in types:
            types = [name for name in types if name != "integer"]
        return list(dict.fromkeys(types))

    def _typed(self, node: Schema, place: Place) -> Any:
        branches = [
            self._of_type(name, node, place) for name in self._types(node, place)
        ]
        return branches[0] if len(branches) == 1 else {"anyOf": branches}

    def _of_type(self, name: str, node: Schema, place: Place) -> Any:
        if name in ("null", "boolean"):
            return {"type": name}
        if name == "string":
            return string_schema(node, place)
        if name == "array":
            return self._array(node, place)
        if name == "object":
            return self._object(node, place)
        if not any(OF_TYPE.get(key) == "number" for key in node):
            self._used.add(name)  # shared: 200 copies are costly to compile
            return {"$ref": f"#/$defs/{name}"}
        return number_schema(node, place, is_integer=name == "integer")

    def _array(self, node: Schema, place: Place) -> Schema:
        least, most = range_of(node, "minItems", "maxItems", place)
        first, others = node.get("prefixItems", []), node.get("items", True)
        keys = "prefixItems", "items"
        if isinstance(others, list):  # before draft 2020-12
            first, others = others, node.get("additionalItems", True)
            keys = "items", "additionalItems"
        if not isinstance(first, list) or len(first) > bounds.MAX_BRANCHES:
            raise (place / keys[0]).refusal(
                f"{keys[0]} must be a list of at most {bounds.MAX_BRANCHES} schemas."
            )
        schema: Schema = {"type": "array"}
        if first:
            under = place / keys[0]
            schema["prefixItems"] = [
                self._read(part, under / i, None) for i, part in enumerate(first)
            ]
        schema["items"] = self._read(others, place / keys[1], None)
        if least:
            schema["minItems"] = least
        if most is not None:
            schema["maxItems"] = most
        return schema

    def _object(self, node: Schema, place: Place) -> Schema:
        properties, required = named(node, place)
        others = node.get("additionalProperties")
        schema: Schema = {"type": "object"}
        if properties:
            under = place / "properties"
            schema["properties"] = {
                name: self._read(part, under / name, None)
                for name, part in properties.items()
            }
        if required:
            schema["required"] = required
        is_closed = others is None and not self._is_open and bool(properties)
        if is_closed and all(name in properties for name in required):
            others = False
        if others is not None or not self._is_open:
            under = place / "additionalProperties"
            others = True if others is None else others
            schema["additionalProperties"] = self._read(others, under, None)
        return schema | n_properties(node, place, schema)
