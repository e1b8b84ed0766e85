"""The text that each token with a log probability adds to an answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edge.logprobs import TokenLogprob
from edge.qwen3vl.thoughts import OPENED


class TokenTexts:
    """Divides an answer, which comes in pieces, at its tokens. A character belongs to
    the token that has its last byte."""

    def __init__(self) -> None:
        self._n_ahead = 0  # bytes of known tokens behind the text so far
        self._is_first = True

    def split(
        self, text: str, tokens: Iterable[TokenLogprob]
    ) -> Iterator[tuple[str, TokenLogprob | None]]:
        """The next `text`, with the `tokens` that begin in it. What belongs to no new
        token stands beside None."""
        raw = text.encode()
        if self._is_first and text.startswith(OPENED):  # no token of the answer
            self._n_ahead = len(OPENED)
        self._is_first = self._is_first and not text
        end = self._n_ahead
        at = _boundary(raw, end)
        yield raw[:at].decode(), None
        for one in tokens:
            end += len(one.token)
            begin, at = at, _boundary(raw, end)
            yield raw[begin:at].decode(), one
        yield raw[at:].decode(), None
        self._n_ahead = max(0, end - len(raw))


def _boundary(raw: bytes, at: int) -> int:
    """The last beginning or end of a character up to the byte `at`."""
    at = min(at, len(raw))
    while 0 < at < len(raw) and raw[at] & 0xC0 == 0x80:
        at -= 1
    return at
