"""Names and number of the properties of an object schema."""

from __future__ import annotations

from edge.schemas import bounds
from edge.schemas.bounds import Place
from edge.schemas.values import Schema, whole_number_of


def named(node: Schema, place: Place) -> tuple[Schema, list[str]]:
    """The properties, and the names of the required ones."""
    properties, required = node.get("properties", {}), node.get("required", [])
    if not isinstance(properties, dict):
        raise (place / "properties").refusal("properties must be an object.")
    if not isinstance(required, list) or not all(
        isinstance(name, str) for name in required
    ):
        raise (place / "required").refusal("required must be a list of names.")
    names = dict.fromkeys([*properties, *required])
    if len(names) > bounds.MAX_PROPERTIES:
        raise (place / "properties").refusal(
            f"An object has {len(names):,} properties; "
            f"{bounds.MAX_PROPERTIES} are allowed."
        )
    for name in names:
        # a control character has two spellings in JSON, and would be two names
        if len(name) > bounds.MAX_NAME or any(char < " " for char in name):
            raise (place / "properties" / name).refusal(
                f"A name has at most {bounds.MAX_NAME} characters and none that "
                "are control characters."
            )
    return properties, list(dict.fromkeys(required))


def n_properties(node: Schema, place: Place, schema: Schema) -> Schema:
    """Bounds on the number of properties, where they have an effect."""
    n_required = len(schema.get("required", []))
    n_optional = len(
        schema.get("properties", {}).keys() - set(node.get("required", []))
    )
    least = whole_number_of(node, "minProperties", place) or 0
    most = whole_number_of(node, "maxProperties", place)
    has_others = schema.get("additionalProperties", True) is not False
    found: Schema = {}
    if least > n_required:
        # a name may repeat, so distinct names cannot be counted
        if least > n_required + 1 or n_required or (has_others and n_optional):
            raise (place / "minProperties").refusal(
                "minProperties is supported as 1. List required properties in required."
            )
        found["minProperties"] = least
    if most is not None and (has_others or most < n_required + n_optional):
        if most < n_required or n_optional:
            raise (place / "maxProperties").refusal(
                "maxProperties is supported where all properties are required."
            )
        found["maxProperties"] = most
    return found
