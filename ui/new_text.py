"""What each event of an answer adds to what its client has: no client gets text twice,
also when another worker starts over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from edge.events import Event, Finished, Retried, Token
from edge.logprobs import TokenLogprob
from edge.qwen3vl.thoughts import OPENED


@dataclass(frozen=True)
class Addition:
    """Text that follows in the answer: first what the client has already, then what is
    `new`, and the logprobs of the tokens that the client has not got."""

    known: str = ""
    new: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()


class NewText:
    """Reads an answer whose client has the first `skip` characters already."""

    def __init__(self, skip: int = 0) -> None:
        self._n_shown = skip
        self._begin()

    def _begin(self) -> None:
        self.n_read = 0  # characters of the answer
        self._n_known_bytes = 0  # of the text that the client has
        self._n_tokens = self._n_token_bytes = 0  # of the tokens with logprobs

    def read(self, event: Event | None) -> Addition:
        """What an event adds."""
        match event:
            case Token(text, tokens):
                return self._add(text, tokens)
            case Finished(answer):  # also what no event brought: it may be a known one
                rest = answer.text[self.n_read :]
                return self._add(rest, (answer.logprobs or ())[self._n_tokens :])
            case Retried():
                self._n_shown = max(self._n_shown, self.n_read)
                self._begin()
        return Addition()

    def _add(self, text: str, tokens: Iterable[TokenLogprob]) -> Addition:
        if self.n_read == 0 and text.startswith(OPENED):  # no token of the answer
            self._n_token_bytes = len(OPENED)
        known = text[: max(0, self._n_shown - self.n_read)]
        self._n_known_bytes += len(known.encode())
        self.n_read += len(text)
        return Addition(known, text[len(known) :], tuple(self._unknown(tokens)))

    def _unknown(self, tokens: Iterable[TokenLogprob]) -> Iterator[TokenLogprob]:
        """Those that begin behind the text that the client has."""
        for one in tokens:
            if self._n_token_bytes >= self._n_known_bytes:
                yield one
            self._n_tokens += 1
            self._n_token_bytes += len(one.token)
