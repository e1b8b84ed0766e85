"""Lists in OpenAI's shape, a page at a time."""

from __future__ import annotations

from typing import Any

from edge.errors import InvalidRequest

MOST = 100


def page(items: list[dict[str, Any]], after: str, limit: int) -> dict[str, Any]:
    """The page of at most `limit` items behind the one whose id is `after`. Raises
    InvalidRequest when there is none."""
    if after:
        known = [item["id"] for item in items]
        if after not in known:
            raise InvalidRequest("There is no such item.", param="after")
        items = items[known.index(after) + 1 :]
    found = items[: max(1, min(limit, MOST))]
    return {
        "object": "list",
        "data": found,
        "first_id": found[0]["id"] if found else None,
        "last_id": found[-1]["id"] if found else None,
        "has_more": len(items) > len(found),
    }
