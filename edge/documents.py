"""The pages of a document: which are asked about, and what a prompt says of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from edge.errors import InvalidRequest

_RANGE = re.compile(r"\s*([0-9]{1,9})\s*(-?)\s*([0-9]{1,9})?\s*")
# Commas, dashes and digits as people also type them.
_TYPED = str.maketrans("０１２３４５６７８９，、–—－−", "0123456789,,----")


def check_range(pages: str) -> None:
    """Raises InvalidRequest for anything but numbers and ranges of pages."""
    for _ in _ranges(pages):
        pass


def chosen(pages: str, n_pages: int) -> list[range]:
    """The selected pages of `n_pages`, from 0, each once and in their order; "": all.
    They are named as printers take it: "1-3,7,10-". Costs nothing, however many pages
    a file claims to have.

    Raises InvalidRequest for a page that there is not.
    """
    found: list[range] = []
    end = 0
    for first, last in sorted(_ranges(pages), key=lambda one: one[0]):
        if first > n_pages:
            raise InvalidRequest(
                f"This file has no page {first}; its last page is {n_pages}."
            )
        begin, end = max(first - 1, end), max(end, min(last or n_pages, n_pages))
        found.append(range(begin, end))
    return found


def selected(pages: str, n_pages: int) -> list[int]:
    """The pages that are `chosen`, one by one."""
    return [*chain.from_iterable(chosen(pages, n_pages))]


def _ranges(pages: str) -> Iterator[tuple[int, int | None]]:
    """The first and the last page of each range; None: to the end."""
    typed = pages.translate(_TYPED).strip().removesuffix(",") if pages else "1-"
    for piece in typed.split(","):
        match = _RANGE.fullmatch(piece)
        if not match or (match[3] and not match[2]):
            raise InvalidRequest(
                f"{pages[:80]!r} does not name pages. Send for example 1-3 or 1,4,7-."
            )
        first = int(match[1])
        last = first if not match[2] else int(match[3]) if match[3] else None
        if first < 1:
            raise InvalidRequest(
                f"{piece.strip()!r} does not name pages, which are counted from 1."
            )
        if last is not None and last < first:
            remedy = f"Write {last}-{first}." if last else "Pages are counted from 1."
            raise InvalidRequest(f"{piece.strip()!r} ends before it begins. {remedy}")
        yield first, last


def page_label(filename: str, page: int, n_pages: int) -> str:
    """What page number `page`, from 0, of `n_pages` is called in prompts and answers;
    "" for the only page of a file without a name."""
    if n_pages == 1:
        return filename
    of = f"{page + 1} of {n_pages}"
    return f"{filename}, page {of}" if filename else f"Page {of}"


def layer_part(text: str) -> str:
    """The part of a prompt that gives the text layer of the page before it."""
    return f"\nText layer of this page:\n{text}\n"
