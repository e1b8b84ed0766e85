"""Guesses how a text goes on: as it did when its latest tokens last occurred, as many
of them as can be found.

Source: prompt lookup decoding, https://github.com/apoorvumang/prompt-lookup-decoding.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence

from edge.engine.step import MOST_GUESSED

SEPARATOR = chr(0x10FFFF)  # between two texts; no token has this number
N_MATCH = 3  # tokens at most that must have occurred before
# The weight of the latest guess in the share of right ones: behind N_MATCH tokens, as
# where an answer begins to repeat a text, and behind fewer, each of which tells little.
NEWEST = 0.15
NEWEST_SHORT = 0.02


def no_rates() -> list[float]:
    """Of guesses behind 0 to N_MATCH - 1 tokens, before the first one."""
    return [0.0] * N_MATCH


def as_text(tokens: Iterable[int]) -> str:
    """One character for each token: so searching is `str.rfind`."""
    return "".join(map(chr, tokens))


class Guesser:
    """The tokens that probably follow one answer, and how probably.

    All guesses are compared with the real tokens, also those that are not computed. So
    the share of right ones is known before a guess costs anything. Behind fewer than
    N_MATCH tokens it is that of all answers, in `short_rates`.
    """

    def __init__(
        self, text: str, ends: Container[int], short_rates: list[float] | None = None
    ) -> None:
        """`text` is all that the answer may repeat, with the prompt's end last; `ends`
        are the tokens that end it."""
        self.guesses: tuple[int, ...] = ()  # at most MOST_GUESSED, none ends an answer
        self.n_observed = 0  # tokens of the answer
        self._text = text
        self._ends = ends
        self._n_matched = 0  # tokens, that occurred before the guesses too
        self._rate = 0.0
        self._short = no_rates() if short_rates is None else short_rates

    @property
    def rate(self) -> float:
        """The share of right ones among the latest guesses of this kind."""
        n = self._n_matched
        return self._rate if n == N_MATCH else self._short[n]

    def observe(self, tokens: Sequence[int]) -> None:
        """Adds the tokens that really followed, and guesses again."""
        for i, (guess, token) in enumerate(zip(self.guesses, tokens, strict=False)):
            is_right, n = guess == token, self._n_matched + i
            if n < N_MATCH:
                self._short[n] += NEWEST_SHORT * (is_right - self._short[n])
            else:
                self._rate += NEWEST * (is_right - self._rate)
            if not is_right:
                break
        self.n_observed += len(tokens)
        self._text += as_text(tokens)
        self.guesses = tuple(self._guesses())

    def _guesses(self) -> Iterator[int]:
        text, begin = self._text, -1
        for n in range(min(N_MATCH, len(text) - 1), 0, -1):
            begin = text.rfind(text[-n:], 0, len(text) - 1)
            if begin >= 0:
                break
        else:
            return
        self._n_matched = n
        begin += n
        for character in text[begin : begin + MOST_GUESSED]:
            if character == SEPARATOR or ord(character) in self._ends:
                return
            yield ord(character)
