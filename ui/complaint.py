"""pydantic's complaints about a body, in the words of JSON, with the path of the
field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge.errors import InvalidRequest

MAX_COMPLAINT = 300  # characters
_OBJECT = "Input should be an object: {{…}}"
# Instead of pydantic's own words, which are Python's.
_WORDS = {
    "dataclass_type": _OBJECT,
    "dict_type": _OBJECT,
    "list_type": "Input should be a list: […]",
    "model_attributes_type": _OBJECT,
    "model_type": _OBJECT,
    "union_tag_invalid": "{tag!r} is none of {expected_tags}",
    "union_tag_not_found": "Field required",
}


def complaint(
    error: Mapping[str, Any], location: Sequence[int | str], body: Any
) -> InvalidRequest:
    """pydantic's complaint about what is at `location` in `body`, as one sentence with
    the path of the field."""
    param = field_path(location, body, _absent(error))
    words = _WORDS.get(error["type"])
    message = words.format(**error.get("ctx", {})) if words else error["msg"]
    message = message.replace(" after validation", "")
    if len(message) > MAX_COMPLAINT:  # it repeats what the client sent
        message = message[:MAX_COMPLAINT] + " …"
    message = f"{param or 'The body'}: {message}."
    return InvalidRequest(message, param=param)


def _absent(error: Any) -> str | None:
    """The field that the error is about, where it is not the location's last step:
    pydantic blames the whole message or part for a role or type it does not know."""
    match error["type"]:
        case "missing":
            return str(error["loc"][-1])
        case "union_tag_invalid" | "union_tag_not_found":
            return str(error["ctx"]["discriminator"]).strip("'")
    return None


def field_path(
    location: Sequence[int | str], body: Any, absent: str | None = None
) -> str | None:
    """`messages[0].content` for where in `body` an error is; None for the whole body.

    pydantic's location also names the members of unions it tried. Walking along the
    body leaves them out: they are not keys in it, except the kind of a message or
    part, which follows its index. `absent` is a field that is not in the body, or
    should not be as it is.
    """
    path, here, is_item = "", body, False
    if location and location[-1] == absent:  # null counts as absent
        location = location[:-1]
    for at, step in enumerate(location):
        rest = [*location[at + 1 :], *([absent] if absent else [])]
        is_kind = is_item and not _is_field(here, step, rest)
        is_item = False
        if isinstance(step, int) and isinstance(here, list) and step < len(here):
            path, here = f"{path}[{step}]", here[step]
            is_item = isinstance(here, dict)
        elif isinstance(here, dict) and step in here and not is_kind:
            path, here = f"{path}.{step}" if path else str(step), here[step]
    if absent is not None:
        path = f"{path}.{absent}" if path else absent
    return path or None


def _is_field(
    item: Mapping[str, Any], step: int | str, rest: Sequence[int | str]
) -> bool:
    """Whether a step is a field of an item, and not its kind: a tool, which is in no
    union, is {"type": "function", "function": {"name": ...}}."""
    if step not in (item.get("role"), item.get("type")):
        return True
    is_object = isinstance(item.get(str(step)), dict)
    return is_object and bool(rest) and rest[0] not in item
