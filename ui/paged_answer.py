"""The answers to several pages as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, TypeVar

from edge.request import Answer
from edge.usage import Timings, Usage

Numbers = TypeVar("Numbers", Usage, Timings)


@dataclass(frozen=True)
class PagedAnswer(Answer):
    """The answers to several pages in one text; `pages` has each with its label."""

    pages: tuple[tuple[str, Answer], ...] = ()

    def per_page(self) -> list[dict[str, Any]]:
        """The answer to each page, for programs."""
        return [
            {
                "page": label,
                "content": answer.text,
                "finish_reason": answer.finish_reason,
            }
            for label, answer in self.pages
        ]


def joined(text: str, pages: Sequence[tuple[str, Answer]]) -> PagedAnswer:
    """All of it, with the sums of tokens and times; marks have the numbers of their
    pages."""
    answers = [answer for _, answer in pages]
    gaps = [max(0, answer.usage.completion_tokens - 1) for answer in answers]
    decode_ms = [
        n * answer.timings.tpot_ms for n, answer in zip(gaps, answers, strict=True)
    ]
    timings = reduce(_sum, (answer.timings for answer in answers))
    return PagedAnswer(
        text,
        "length" if any(a.finish_reason == "length" for a in answers) else "stop",
        reduce(_sum, (answer.usage for answer in answers)),
        replace(timings, tpot_ms=sum(decode_ms) / max(1, sum(gaps))),
        n_dropped=max(answer.n_dropped for answer in answers),
        max_tokens=max(answer.max_tokens for answer in answers),
        marks=tuple(
            replace(mark, picture=n) for n, a in enumerate(answers) for mark in a.marks
        ),
        pages=tuple(pages),
    )


def _sum(one: Numbers, other: Numbers) -> Numbers:
    """Field by field."""
    return replace(one, **{n: getattr(one, n) + v for n, v in vars(other).items()})
