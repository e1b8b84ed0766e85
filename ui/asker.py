"""Who asks: the client that shares of the queue and jobs belong to."""

from __future__ import annotations

import hashlib

from fastapi import Request

from edge.errors import InvalidRequest
from edge.jobs.client_side import Asker

LONGEST_KEY = 255  # characters of an Idempotency-Key


def owner_of(http: Request) -> str:
    """The client of an API request: its key if it has one, else its address.

    No key is checked here: it only tells clients behind one address apart.
    """
    if key := http.headers.get("authorization", ""):
        return _name("key", key)
    return _name("address", http.client.host if http.client else "")


def owner_of_session(session: str | None) -> str:
    """The client of a page."""
    return _name("session", session or "")


def asker_of(http: Request, sha256: str, *, is_batch: bool, streams: bool) -> Asker:
    """Who sends the body with this hash to the API. Raises InvalidRequest for a wrong
    header."""
    once = http.headers.get("idempotency-key", "")
    if len(once) > LONGEST_KEY:
        raise InvalidRequest(
            f"An Idempotency-Key may have {LONGEST_KEY} characters at most."
        )
    return Asker(owner_of(http), is_batch, streams, once, sha256 if once else "")


def _name(kind: str, text: str) -> str:
    return hashlib.sha256(f"{kind} {text}".encode()).hexdigest()[:32]
