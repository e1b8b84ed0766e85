"""Log probabilities in OpenAI's shape."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edge.logprobs import TokenLogprob


def logprobs_object(tokens: Iterable[TokenLogprob]) -> dict[str, Any]:
    """The field `logprobs` of a choice."""
    return {"content": list(map(logprob_object, tokens)), "refusal": None}


def logprob_object(one: TokenLogprob) -> dict[str, Any]:
    """A token with its alternatives."""
    likeliest = [_token(*other) for other in one.likeliest]
    return _token(one.token, one.logprob) | {"top_logprobs": likeliest}


def _token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": text_of(token), "logprob": logprob, "bytes": bytes_of(token)}


def bytes_of(token: str) -> list[int]:
    """The bytes of a token as `TokenLogprob` holds it."""
    return list(token.encode("latin-1"))


def text_of(token: str) -> str:
    """Its text. Bytes that are only a part of a character are written as `\\xe5`, as
    OpenAI's API does."""
    return token.encode("latin-1").decode(errors="backslashreplace")
