"""Drafting: which guesses the next step computes behind the latest tokens of answers.

A right guess saves a step, a wrong one costs a row. Rows are computed together, so the
guesses of all answers have to pay for the whole step. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from edge.engine.earlier_answers import EarlierAnswers, Key
from edge.engine.guesser import N_MATCH, SEPARATOR, Guesser, as_text, no_rates
from edge.engine.sequence import Phase, PicturePiece, Sequence, TextPiece

MARGIN = 0.03  # a smaller gain is not worth the doubt about costs and shares
EARLIER_BYTES = 1 << 20  # of earlier answers

StepSeconds = Callable[[int], float | None]  # of a step by its rows, if it is known


@dataclass(frozen=True)
class Chance:
    """At most `most` guesses of one answer, each of them right with probability `rate`
    where those before it are."""

    rate: float
    most: int


def choose_lengths(
    chances: list[Chance], n_answers: int, n_rows: int, step_s: StepSeconds
) -> list[int]:
    """How many guesses of each answer to compute for the most tokens a second, in a
    step that has `n_rows` for `n_answers` without them."""
    lengths = [0] * len(chances)
    best = lengths.copy()
    base_s = step_s(n_rows)
    if not base_s:
        return best
    n_tokens, most_per_s = float(n_answers), (1 + MARGIN) * n_answers / base_s
    likeliest = [(-c.rate, i) for i, c in enumerate(chances) if c.most and c.rate]
    heapify(likeliest)
    while likeliest:
        probability, i = heappop(likeliest)
        lengths[i] += 1
        n_tokens -= probability
        per_s = n_tokens / (step_s(n_rows + sum(lengths)) or base_s)
        if per_s > most_per_s:
            best, most_per_s = lengths.copy(), per_s
        if lengths[i] < chances[i].most:
            heappush(likeliest, (probability * chances[i].rate, i))
    return best


class Drafter:
    """Gives guesses to answers, and remembers answers to guess from.

    Answers with a schema have none: their tokens without an alternative come free, and
    a guess that ends among them would save no step.
    """

    def __init__(self, step_s: StepSeconds) -> None:
        self._step_s = step_s
        self._guessers: dict[Sequence, Guesser] = {}
        self._short_rates = no_rates()
        self._earlier = EarlierAnswers(EARLIER_BYTES)

    def draft(self, running: Iterable[Sequence]) -> None:
        """Sets the guesses of all answers for the next step."""
        answers = [each for each in running if each.phase is Phase.DECODE]
        free = [each for each in answers if each.constraint is None]
        n_rows = sum(each.n_generated - each.n_fed for each in answers)
        chances = [self._chance(each) for each in free]
        lengths = choose_lengths(chances, len(answers), n_rows, self._step_s)
        for sequence, n in zip(free, lengths, strict=True):
            sequence.guesses = self._guessers[sequence].guesses[:n]

    def forget(self, sequence: Sequence) -> None:
        """It has ended: later answers about the same pictures may repeat it."""
        guesser, key = self._guessers.pop(sequence, None), _key(sequence)
        if guesser and key and sequence.cache.writes:
            tokens = [*_text_pieces(sequence)[-1][-N_MATCH:], *sequence.generated]
            self._earlier.add(key, as_text(tokens) + SEPARATOR)

    def _chance(self, sequence: Sequence) -> Chance:
        guesser = self._guessers.get(sequence)
        if guesser is None:
            prompt = SEPARATOR.join(map(as_text, _text_pieces(sequence)))
            key = _key(sequence) if sequence.cache.reads else None
            text = self._earlier.get(key) + prompt if key else prompt
            guesser = Guesser(text, sequence.ends, self._short_rates)
            self._guessers[sequence] = guesser
        guesser.observe(sequence.generated[guesser.n_observed :])
        # a guess needs a cell, and the last token of an answer is never fed back
        n_left = sequence.sampling.max_tokens - sequence.n_generated - 1
        return Chance(guesser.rate, min(len(guesser.guesses), n_left))


def _key(sequence: Sequence) -> Key | None:
    """None without pictures: such answers need not have anything in common."""
    hashes = [p.ref.sha256 for p in sequence.pieces if isinstance(p, PicturePiece)]
    return (sequence.scope, *hashes) if hashes else None


def _text_pieces(sequence: Sequence) -> list[tuple[int, ...]]:
    return [p.tokens for p in sequence.pieces if isinstance(p, TextPiece)]
