"""What was measured and what of it is served, as lines of text for an operator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from edge.serving.choice import PICTURE_TOKENS, Measured, question_ms
from edge.serving.plan import Plan
from edge.serving.variants import Part

N_OTHERS: Final = 3  # of each part that are shown beside the chosen ones


def describe(measured: Measured) -> str:
    """One line about a result."""
    variant = measured.variant
    if measured.problem:
        return f" failed   {variant}: {measured.problem}"
    line = f"{standard_ms(measured) / 1000:5.2f} s   {variant}"
    if variant.part == "vision":
        return line
    steps = ", ".join(f"{rows}: {ms:.0f}" for rows, ms in measured.ms)
    return f"{line}; ms of a step by rows: {steps}"


def standard_ms(measured: Measured) -> float:
    """Milliseconds of what variants of this part are compared by."""
    if measured.variant.part == "vision":
        return measured.ms_at(PICTURE_TOKENS)
    return question_ms(measured)


def table(plan: Plan) -> Iterator[str]:
    """What is served, and why: the fastest other variants, and those that failed."""
    choice = plan.choice
    yield "A prompt with a picture and 64 tokens of an answer:"
    if choice.many:
        yield f"{describe(choice.many)} (chosen, from {choice.many_rows} rows on)"
    yield from _part(plan, "language", choice.language)
    yield f"Encoding a picture of {PICTURE_TOKENS} tokens:"
    yield from _part(plan, "vision", choice.vision)


def _part(plan: Plan, part: Part, chosen: Measured) -> Iterator[str]:
    if chosen.ms:
        yield f"{describe(chosen)} (chosen)"
    served = {chosen.variant, plan.choice.many and plan.choice.many.variant}
    others = [
        each
        for each in (plan.tuning.measured if plan.tuning else ())
        if each.variant.part == part and each.variant not in served
    ]
    measured = sorted((each for each in others if each.ms), key=standard_ms)
    yield from map(describe, measured[:N_OTHERS])
    yield from (describe(each) for each in others if each.problem)
