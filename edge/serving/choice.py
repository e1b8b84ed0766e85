"""From measured times to the variants that are served: pure.

Variants are compared for a standard question: a picture of 800x600 pixels and an answer
of a few lines, which shares half of its steps with three others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from typing import Final

from edge.serving.variants import Variant

PICTURE_TOKENS: Final = 475
ANSWER_TOKENS: Final = 64
TOGETHER: Final = 4  # answers in a shared step
PIECE_TOKENS: Final = 256  # of a prompt
THRESHOLDS: Final = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, PIECE_TOKENS)  # rows
# A variant that is less likely, or a second graph, has to reduce the time to this
# fraction: measurements differ by a few percent.
WORTH: Final = 0.95


@dataclass(frozen=True)
class Measured:
    """A variant, and the milliseconds of the whole model by size, ascending: rows of a
    step, or image tokens of a picture. None were measured where there is a problem, or
    before the first measurement."""

    variant: Variant
    ms: tuple[tuple[int, float], ...] = ()
    problem: str = ""

    def ms_at(self, size: int) -> float:
        """Interpolated between the measured sizes, and in proportion above them."""
        (least, least_ms), (most, most_ms) = self.ms[0], self.ms[-1]
        if size <= least:
            return least_ms
        for (low, low_ms), (high, high_ms) in pairwise(self.ms):
            if size <= high:
                return low_ms + (high_ms - low_ms) * (size - low) / (high - low)
        return most_ms * size / most


def merge(first: Measured, again: Measured) -> Measured:
    """The least times of two trials of one variant: other programs can only make them
    longer. What fails once has failed."""
    if first.problem or again.problem:
        return first if first.problem else again
    least = {size: min(ms, again.ms_at(size)) for size, ms in first.ms}
    return Measured(first.variant, tuple(least.items()))


@dataclass(frozen=True)
class Choice:
    """What is served: a variant of the language model, perhaps another one, `many`, for
    steps of at least `many_rows` rows, and a variant of the vision encoder."""

    language: Measured
    vision: Measured
    many: Measured | None = None
    many_rows: int = 1

    @property
    def step_ms(self) -> dict[int, float]:
        """Milliseconds of a step by rows; empty where nothing was measured."""
        many = self.many or self.language
        return {
            rows: (many if rows >= self.many_rows else self.language).ms_at(rows)
            for rows, _ in self.language.ms
        }


def choose_language(
    measured: Sequence[Measured], may_be_two: Callable[[Variant, Variant], bool]
) -> tuple[Measured, Measured | None, int]:
    """The fastest variant. Or the fastest two, and the number of rows from which on the
    second one computes. `measured` are in the order of preference, without problems."""
    best = fastest_language(measured)
    pairs = [
        (few, many, rows)
        for few, many in permutations(measured, 2)
        if may_be_two(few.variant, many.variant) and (rows := first_faster(few, many))
    ]
    if pairs:
        few, many, rows = min(pairs, key=lambda pair: question_ms(*pair[:2]))
        if question_ms(few, many) < question_ms(best) * WORTH:
            return few, many, rows
    return best, None, 1


def fastest_language(measured: Sequence[Measured]) -> Measured:
    """The fastest variant alone."""
    return _fastest(measured, question_ms)


def choose_vision(measured: Sequence[Measured]) -> Measured:
    """The fastest variant."""
    return _fastest(measured, lambda each: each.ms_at(PICTURE_TOKENS))


def question_ms(few: Measured, many: Measured | None = None) -> float:
    """Milliseconds of the language model for the standard question."""
    prompt_ms = (many or few).ms_at(PIECE_TOKENS) * PICTURE_TOKENS / PIECE_TOKENS
    step_ms = (few.ms_at(1) + few.ms_at(TOGETHER) / TOGETHER) / 2
    return prompt_ms + ANSWER_TOKENS * step_ms


def first_faster(few: Measured, many: Measured) -> int | None:
    """The least of THRESHOLDS from which on `many` is faster up to whole pieces; None
    if it never is."""
    slower = [n for n in THRESHOLDS if many.ms_at(n) >= few.ms_at(n)]
    return next((n for n in THRESHOLDS if n > max(slower, default=0)), None)


def _fastest(measured: Sequence[Measured], ms: Callable[[Measured], float]) -> Measured:
    best, *others = measured
    for each in others:
        if ms(each) < ms(best) * WORTH:
            best = each
    return best
