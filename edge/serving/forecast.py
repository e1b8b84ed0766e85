"""What pictures and answers cost on this machine, out of what was measured: pure."""

from __future__ import annotations

from edge.images import DETAILS, budget
from edge.serving.choice import PIECE_TOKENS, Choice, Measured

TEMPLATE_TOKENS = 32  # of a short question and the chat template


def forecast(choice: Choice, most: int) -> str:
    """A sentence: what each `detail` of the API costs with at most `most` image
    tokens, and how fast an answer is."""
    budgets: dict[int, list[str]] = {}
    for detail in DETAILS:
        budgets.setdefault(budget(detail, most), []).append(detail)
    after = (
        f"{_seconds(first_text_s(choice, n))} ({' and '.join(details)}, {n} tokens)"
        for n, details in budgets.items()
    )
    return (
        f"First words about a large picture after {' or '.join(after)}, "
        f"then {1000 / choice.language.ms_at(1):.0f} tokens a second."
    )


def first_text_s(choice: Choice, n_tokens: int) -> float:
    """Seconds to the first token of an answer about a picture of `n_tokens` image
    tokens on an idle machine."""
    many = choice.many or choice.language
    token_ms = many.ms_at(PIECE_TOKENS) / PIECE_TOKENS
    prompt_ms = token_ms * (n_tokens + TEMPLATE_TOKENS)
    return (picture_ms(choice.vision, n_tokens) + prompt_ms) / 1000


def picture_ms(vision: Measured, n_tokens: int) -> float:
    """Milliseconds of a picture of any size.

    The encoder's projections take time in proportion to the picture, its attention in
    proportion to the square: two measured sizes give both parts.
    """
    (small, small_ms), (large, large_ms) = vision.ms[0], vision.ms[-1]
    slope = 0.0
    if large > small:
        slope = (large_ms / large - small_ms / small) / (large - small)
    token_ms = large_ms / large + max(0.0, slope) * (n_tokens - large)
    return n_tokens * token_ms


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{max(seconds, 0.1):.1f} s"
