"""Who sends a request, as far as a part of the page needs to know."""

from __future__ import annotations

from starlette.types import Scope

from edge.caller import ANONYMOUS, Caller


def caller_of(scope: Scope) -> Caller:
    """The caller that the door found; without a door, one for each address."""
    caller = scope.get("state", {}).get("caller")
    if isinstance(caller, Caller):
        return caller
    address = scope["client"][0] if scope.get("client") else ""
    return Caller(ANONYMOUS, address, address, ANONYMOUS)
