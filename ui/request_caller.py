"""The caller of a request, its key's limits, and the Submission of its question."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from edge.caller import Caller
from edge.errors import InvalidRequest
from edge.jobs.submission import Submission
from edge.keys import Key
from edge.limits import Limits

LONGEST_KEY = 255  # characters of an Idempotency-Key


def caller_of(http: HTTPConnection) -> Caller:
    """The caller of a request, as the door decided."""
    caller: Caller = http.state.caller
    return caller


def limits_of(http: HTTPConnection) -> Limits:
    """The limits of the key of a request."""
    key: Key | None = http.state.key
    return key.limits if key else Limits()


def longest_answer(asked: int | None, default: int, limits: Limits) -> int:
    """The most tokens that the answer may have. Raises InvalidRequest when more are
    asked for than the key allows."""
    if limits.max_tokens and (asked or 0) > limits.max_tokens:
        raise InvalidRequest(
            f"Your key allows answers of at most {limits.max_tokens} tokens.",
            param="max_tokens",
        )
    return asked or min(default, limits.max_tokens or default)


def submission_of(
    http: HTTPConnection,
    body_hash: str = "",
    *,
    max_tokens: int,
    is_batch: bool = False,
    streams: bool = False,
    has_tools: bool = False,
    n_answers: int = 1,
    n_computed: int = 1,
    is_background: bool = False,
) -> Submission:
    """The submission of a question. Raises InvalidRequest for a wrong header."""
    idempotency_key = http.headers.get("idempotency-key", "")
    if len(idempotency_key) > LONGEST_KEY:
        raise InvalidRequest(
            f"An Idempotency-Key may have {LONGEST_KEY} characters at most."
        )
    return Submission(
        caller_of(http),
        limits_of(http),
        is_batch=is_batch,
        streams=streams,
        has_tools=has_tools,
        is_background=is_background,
        idempotency_key=idempotency_key,
        body_hash=body_hash if idempotency_key else "",
        max_tokens=max_tokens,
        n_answers=n_answers,
        n_computed=n_computed,
    )
