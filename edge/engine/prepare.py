"""From a request to a sequence: template, tokens, picture grids, and what fits.

Runs on the caller's thread, so that tokenising never holds up a step.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge.engine.prompt import Template, render
from edge.engine.protocols import Tokenizer, VisionTower
from edge.engine.sequence import PicturePiece, Piece, Sequence, TextPiece
from edge.errors import ContextLengthExceeded
from edge.request import PictureRef, Request


def prepare(
    request: Request, tokenizer: Tokenizer, tower: VisionTower, n_cells: int
) -> Sequence:
    """A sequence in phase EMBED, without its embeddings.

    Raises ContextLengthExceeded, with the numbers, when prompt and answer need more
    than `n_cells`.
    """
    sequence = Sequence(tuple(_pieces(request, tokenizer, tower)), request.sampling)
    if sequence.n_cells_needed > n_cells:
        raise ContextLengthExceeded(
            f"The prompt has {sequence.n_prompt} tokens and max_tokens is "
            f"{request.sampling.max_tokens}; together they may be at most {n_cells}. "
            "Send less text, fewer or smaller pictures, or a smaller max_tokens.",
            param="messages",
        )
    return sequence


def _pieces(
    request: Request, tokenizer: Tokenizer, tower: VisionTower
) -> Iterator[Piece]:
    run: list[int] = []  # neighbouring texts become one piece
    for part in render(request.messages):
        if isinstance(part, PictureRef):
            yield TextPiece(tuple(run))
            run = []
            yield PicturePiece(part, *tower.grid(part.width, part.height))
        else:
            special = isinstance(part, Template)
            run += tokenizer.tokenize(part.text, special=special)
    yield TextPiece(tuple(run))
