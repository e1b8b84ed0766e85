"""Log probabilities of the tokens of an answer, in a form that is short as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

# Of one answer, those of alternatives included: about 1 MB of JSON.
MOST_LOGPROBS = 50_000


@dataclass(frozen=True)
class TokenLogprob:
    """A token of an answer, the natural logarithm of its probability, and those of the
    likeliest tokens in its place, the likeliest first.

    A token is its bytes, each as the character with its number. That of a control token
    is its name.
    """

    token: str
    logprob: float
    likeliest: tuple[tuple[str, float], ...] = ()


def to_json(logprobs: Iterable[TokenLogprob]) -> list[Any]:
    """`from_json` gives them back."""
    return [[one.token, one.logprob, one.likeliest] for one in logprobs]


def from_json(data: Sequence[Any]) -> tuple[TokenLogprob, ...]:
    """What `to_json` made, and JSON may have changed tuples to lists in."""
    return tuple(
        TokenLogprob(
            token, logprob, tuple((other, value) for other, value in likeliest)
        )
        for token, logprob, likeliest in data
    )


class ShownLogprobs:
    """Which tokens of an answer its text so far shows: those that begin in it. So the
    tokens of a stop string are never shown, nor is the end."""

    def __init__(self, written: str = "") -> None:
        """`written` is text before the first token."""
        # not shown yet, behind the number of their first bytes
        self._held: list[tuple[int, TokenLogprob]] = []
        self._n_bytes = len(written.encode())  # of all tokens
        self._n_shown = 0  # bytes of the text

    def add(self, piece: bytes, logprob: TokenLogprob) -> None:
        """The next token, which adds `piece` to the text."""
        self._held.append((self._n_bytes, logprob))
        self._n_bytes += len(piece)

    def show(self, text: str) -> tuple[TokenLogprob, ...]:
        """The tokens that are shown when `text` follows the text so far."""
        self._n_shown += len(text.encode())
        n = sum(begin < self._n_shown for begin, _ in self._held)
        shown, self._held = self._held[:n], self._held[n:]
        return tuple(logprob for _, logprob in shown)
