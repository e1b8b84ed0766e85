"""Log probabilities in OpenAI's shape."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edge.logprobs import TokenLogprob


def logprobs_object(tokens: Iterable[TokenLogprob]) -> dict[str, Any]:
    """The field `logprobs` of a choice."""
    content = [
        _token(one.token, one.logprob)
        | {"top_logprobs": [_token(*other) for other in one.likeliest]}
        for one in tokens
    ]
    return {"content": content, "refusal": None}


def _token(token: str, logprob: float) -> dict[str, Any]:
    """Bytes that are only a part of a character are written as `\\xe5`, as OpenAI's
    API does."""
    raw = token.encode("latin-1")
    text = raw.decode(errors="backslashreplace")
    return {"token": text, "logprob": logprob, "bytes": list(raw)}
