"""From a request to a sequence: template, tokens, picture grids, and what fits.

Runs on the caller's thread, so that tokenising never holds up a step.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge.engine.prompt import Template, render
from edge.engine.protocols import Tokenizer, VisionTower
from edge.engine.sequence import PicturePiece, Piece, Sequence, TextPiece
from edge.errors import ContextLengthExceeded
from edge.request import Message, PictureRef, Request


def prepare(
    request: Request, tokenizer: Tokenizer, tower: VisionTower, n_cells: int
) -> Sequence:
    """A sequence in phase EMBED, without its embeddings.

    Raises ContextLengthExceeded, with the numbers, when prompt and answer need more
    than `n_cells`; a request may ask to leave out the oldest turns before that.
    """
    messages = request.messages
    while True:
        pieces = tuple(_pieces(messages, tokenizer, tower))
        sequence = Sequence(pieces, request.sampling, request.scope)
        if sequence.n_cells_needed <= n_cells:
            sequence.n_dropped = len(request.messages) - len(messages)
            return sequence
        shorter = without_oldest(messages) if request.truncate else messages
        if shorter == messages:
            raise ContextLengthExceeded(
                f"The prompt has {sequence.n_prompt} tokens and max_tokens is "
                f"{request.sampling.max_tokens}; together they may be at most "
                f"{n_cells}. Send less text, fewer or smaller pictures, or a smaller "
                "max_tokens.",
                param="messages",
            )
        messages = shorter


def without_oldest(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """A conversation without its oldest question and what was said to it. What the
    system says stays, and so does the last question."""
    asked = [n for n, message in enumerate(messages) if message.role == "user"]
    if len(asked) < 2:
        return messages
    second = asked[1]
    kept = (m for m in messages[:second] if m.role == "system")
    return (*kept, *messages[second:])


def _pieces(
    messages: tuple[Message, ...], tokenizer: Tokenizer, tower: VisionTower
) -> Iterator[Piece]:
    run: list[int] = []  # neighbouring texts become one piece
    for part in render(messages):
        if isinstance(part, PictureRef):
            yield TextPiece(tuple(run))
            run = []
            yield PicturePiece(part, *tower.grid(part.width, part.height))
        else:
            special = isinstance(part, Template)
            run += tokenizer.tokenize(part.text, special=special)
    yield TextPiece(tuple(run))
