"""Guesses how a text goes on: as it did when its latest tokens last occurred.

Source: prompt lookup decoding, https://github.com/apoorvumang/prompt-lookup-decoding.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence

from edge.engine.step import MOST_GUESSED

SEPARATOR = chr(0x10FFFF)  # between two texts; no token has this number
N_MATCH = 3  # tokens that must have occurred before
NEWEST = 0.15  # the weight of the latest guess in the share of right ones


def as_text(tokens: Iterable[int]) -> str:
    """One character for each token: so searching is `str.rfind`."""
    return "".join(map(chr, tokens))


class Guesser:
    """The tokens that probably follow one answer, and how probably.

    All guesses are compared with the real tokens, also those that are not computed. So
    the share of right ones is known before a guess costs anything.
    """

    def __init__(self, text: str, ends: Container[int]) -> None:
        """`text` is all that the answer may repeat, with the prompt's end last; `ends`
        are the tokens that end it."""
        self.guesses: tuple[int, ...] = ()  # at most MOST_GUESSED, none ends an answer
        self.rate = 0.0  # the share of right ones among the latest guesses
        self.n_observed = 0  # tokens of the answer
        self._text = text
        self._ends = ends

    def observe(self, tokens: Sequence[int]) -> None:
        """Adds the tokens that really followed, and guesses again."""
        for guess, token in zip(self.guesses, tokens, strict=False):
            self.rate += NEWEST * ((guess == token) - self.rate)
            if guess != token:
                break
        self.n_observed += len(tokens)
        self._text += as_text(tokens)
        self.guesses = tuple(self._guesses())

    def _guesses(self) -> Iterator[int]:
        text = self._text
        begin = text.rfind(text[-N_MATCH:], 0, len(text) - 1)
        if begin < 0:
            return
        begin += N_MATCH
        for character in text[begin : begin + MOST_GUESSED]:
            if character == SEPARATOR or ord(character) in self._ends:
                return
            yield ord(character)
