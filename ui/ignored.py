"""Unknown fields of a request: ignored, within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from edge.errors import InvalidRequest

MOST_IGNORED = 65_536  # characters


def check_ignored(body: BaseModel) -> None:
    """Raises InvalidRequest when the unknown fields of `body`, at any depth, are longer
    than MOST_IGNORED."""
    n = sum(map(_weight, _ignored(body)))
    if n > MOST_IGNORED:
        raise InvalidRequest(
            f"Fields that this server does not know have {n:,} characters in all; "
            f"{MOST_IGNORED:,} are allowed. Leave them out."
        )


def _ignored(value: Any) -> Iterator[dict[str, Any]]:
    """The unknown fields of all models in `value`."""
    if isinstance(value, BaseModel):
        yield value.model_extra or {}
        value = list(vars(value).values())
    if isinstance(value, list):
        for item in value:
            yield from _ignored(item)


def _weight(value: Any) -> int:
    """About its length as JSON, in characters."""
    match value:
        case str():
            return len(value)
        case dict():
            return sum(len(key) + _weight(item) + 6 for key, item in value.items())
        case list():
            return sum(_weight(item) + 2 for item in value)
    return len(str(value))
