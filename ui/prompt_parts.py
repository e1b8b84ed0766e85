"""The parts of a prompt's messages, in which pictures and documents hold the places of
what is decoded later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain

from edge.documents import chosen, layer_part
from edge.errors import EdgeError, InvalidRequest
from edge.request import Message, PictureRef, Role
from edge.videos import ClipRef
from ui.question import Sent, SentDocument, SentPicture

Content = list[str | Sent | SentDocument]
Turn = tuple[Role, Content]


def pictures_in(turns: Iterable[Turn]) -> list[Sent]:
    """The pictures, pages and videos, in their order."""
    return [part for _, content in turns for part in content if isinstance(part, Sent)]


def chosen_pages(
    document: SentDocument,
    n_pages: int,
    most: int,
    n_others: int = 0,
    instead: str = "",
) -> list[range]:
    """The pages of a document of `n_pages` that are asked about beside `n_others` pages
    and pictures, where there may be `most` in all; none of them is made here, because a
    file may claim any number. `instead` is another remedy. Raises InvalidRequest."""
    with blaming(f"{document.param}.pages"):
        found = chosen(document.pages, n_pages)
        n = sum(map(len, found))
        if n_others + n <= most:
            return found
        has = f"{document.filename or 'This file'} has {n}"
        has += " chosen pages" if document.pages else " pages"
        room = most - n_others
        there = f"at most {room} beside the others" if n_others else f"at most {most}"
        example = f'"1-{room}"' if room > 1 else '"1"'
        raise InvalidRequest(
            f"{has}; {there}. Choose some with pages, as in {example}{instead}."
        )


def opened(
    turns: Iterable[Turn], pages: Mapping[SentDocument, tuple[list[range], int]]
) -> list[Turn]:
    """The turns with the chosen pages of each document, of which it has a number, in
    its place."""

    def parts(content: Content) -> Iterator[str | Sent]:
        for part in content:
            if isinstance(part, SentDocument):
                found, n_pages = pages[part]
                yield from (part.page(i, n_pages) for i in chain(*found))
            else:
                yield part

    return [(role, [*parts(content)]) for role, content in turns]


def about_each(turns: Sequence[Turn]) -> list[list[Turn]]:
    """The turns once for each picture or page of the last one, which is alone in it."""
    *earlier, (role, content) = turns
    return [
        [*earlier, (role, [p for p in content if isinstance(p, str) or p is picture])]
        for picture in pictures_in([(role, content)])
    ]


def smaller(turns: Iterable[Turn]) -> list[Turn]:
    """The turns with pictures of the fewest tokens."""
    return [
        (
            role,
            [
                replace(part, detail="low") if isinstance(part, Sent) else part
                for part in content
            ],
        )
        for role, content in turns
    ]


def messages_of(
    turns: Sequence[Turn],
    refs: Sequence[PictureRef | ClipRef],
    texts: Sequence[str],
    *,
    is_named: bool,
) -> Iterator[Message]:
    """The messages of the prompt, with the decoded pictures and their text layers. If
    it `is_named`, the label of a page stands before it.

    Raises InvalidRequest for a page whose text alone is wanted, and that has none.
    """
    found = iter(zip(refs, texts, strict=True))

    def parts(content: Content) -> Iterator[str | PictureRef]:
        for part in content:
            if isinstance(part, str):
                yield part
                continue
            ref, text = next(found)
            if isinstance(ref, ClipRef):
                yield from ref.content
            elif isinstance(part, SentPicture):
                yield from _shown(part, ref, text, is_named=is_named)
            else:
                yield ref

    for role, content in turns:
        yield Message(role, tuple(parts(content)))


def _shown(
    part: SentPicture, ref: PictureRef, text: str, *, is_named: bool
) -> Iterator[str | PictureRef]:
    if part.label and is_named:
        yield f"{part.label}:\n"
    if part.text_layer != "only":
        yield ref
    elif not text:
        raise InvalidRequest(
            f"{part.label or 'This file'} has no text layer. Send text_layer: "
            '"auto", and the model reads the picture.',
            param=part.param,
        )
    if text:
        yield layer_part(text)


@contextmanager
def blaming(param: str | None) -> Iterator[None]:
    """Says of an error which part of the body it is about."""
    try:
        yield
    except EdgeError as refusal:
        refusal.param = param
        raise
