"""A sequence: the engine's live state of one question. Data, no policy.

A prompt is a list of pieces, text or picture. Cells and positions are different
numbers: a picture of 19 x 25 tokens fills 475 cells and moves the position on by 25.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import cached_property

import numpy as np
import numpy.typing as npt

from edge.engine.batch import PictureBatch, Row
from edge.engine.detokenizer import Detokenizer
from edge.engine.protocols import Constraint
from edge.engine.slots import Content
from edge.qwen3vl.positions import picture_advance, picture_positions
from edge.request import FinishReason, PictureRef, SamplingParams


@dataclass(frozen=True)
class TextPiece:
    """A run of tokens."""

    tokens: tuple[int, ...]

    @property
    def n_cells(self) -> int:
        return len(self.tokens)

    @property
    def content(self) -> Content:
        return list(self.tokens)

    @property
    def n_positions(self) -> int:
        return len(self.tokens)

    def rows(self, slot: int, position: int, start: int, stop: int) -> tuple[Row, ...]:
        """Those from `start` to `stop`, where the first of all has this position."""
        return tuple(
            Row(slot, self.tokens[i], position + i) for i in range(start, stop)
        )


@dataclass(frozen=True)
class PicturePiece:
    """A picture of rows x columns tokens."""

    ref: PictureRef
    rows: int
    columns: int

    @property
    def n_cells(self) -> int:
        return self.rows * self.columns

    @property
    def content(self) -> Content:
        return [self.ref.sha256] * self.n_cells

    @property
    def n_positions(self) -> int:
        return picture_advance(self.rows, self.columns)

    def batch(
        self, slot: int, position: int, embeddings: npt.NDArray[np.float32], part: slice
    ) -> PictureBatch:
        """A part of the picture that begins at this position."""
        positions = picture_positions(position, self.rows, self.columns)
        return PictureBatch(slot, embeddings[part], positions[:, part])


Piece = TextPiece | PicturePiece


class Phase(Enum):
    """Where a sequence is in its life."""

    EMBED = auto()
    WAIT = auto()
    PREFILL = auto()
    DECODE = auto()
    DONE = auto()


@dataclass(eq=False)
class Sequence:
    """One question inside the engine."""

    pieces: tuple[Piece, ...]
    sampling: SamplingParams
    scope: str = ""  # only sequences of the same one share cells: see `edge.caller`
    phase: Phase = Phase.EMBED
    constraint: Constraint | None = None  # what holds the answer to its schema
    embeddings: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    slot: int = -1  # set by the scheduler when it admits the sequence
    generated: list[int] = field(default_factory=list)
    n_dropped: int = 0  # messages of the conversation that did not fit
    n_reused: int = 0  # cells of the prompt that another sequence had computed
    finish_reason: FinishReason = "stop"
    # The prefill cursor: the piece, how many of its cells are done, its first position.
    _piece: int = 0
    _offset: int = 0
    _position: int = 0

    def __post_init__(self) -> None:
        self.detokenizer = Detokenizer(self.sampling.stop)

    @cached_property
    def content(self) -> Content:
        """What the prompt puts into each cell. The first one tells the scope as well,
        so that no prefix is ever common to two of them."""
        first, *others = [entry for piece in self.pieces for entry in piece.content]
        return [f"{self.scope} {first}", *others]

    @property
    def n_prompt(self) -> int:
        return len(self.content)

    @property
    def n_image(self) -> int:
        """Those cells of the prompt that are pictures."""
        return sum(p.n_cells for p in self.pieces if isinstance(p, PicturePiece))

    @property
    def n_generated(self) -> int:
        return len(self.generated)

    @property
    def cached_content(self) -> Content:
        """What it has put into its cells so far; its latest token is in none yet."""
        if self.phase is Phase.PREFILL:
            done = sum(piece.n_cells for piece in self.pieces[: self._piece])
            return self.content[: done + self._offset]
        return [*self.content, *self.generated[:-1]]

    @property
    def n_cells_needed(self) -> int:
        """All the cells it can ever fill. The last token is never fed back."""
        return self.n_prompt + self.sampling.max_tokens - 1

    @property
    def missing_pictures(self) -> set[str]:
        """Hashes of pictures that the tower still has to read."""
        refs = (piece.ref for piece in self.pieces if isinstance(piece, PicturePiece))
        return {ref.sha256 for ref in refs} - self.embeddings.keys()

    @property
    def next_piece(self) -> Piece:
        return self.pieces[self._piece]

    def match_prefix(self, content: Content) -> int:
        """How many cells of the prompt `content` begins with, the last one never: it
        has to be computed for its answer. A picture counts whole or not at all."""
        n = 0
        most = min(len(content), self.n_prompt - 1)
        while n < most and self.content[n] == content[n]:
            n += 1
        end = 0
        for piece in self.pieces:
            if end + piece.n_cells > n:
                return end if isinstance(piece, PicturePiece) else n
            end += piece.n_cells
        return n

    def skip_cached(self, n: int) -> int:
        """Begins behind the first `n` cells, the result of `match_prefix`. Returns the
        position there."""
        self.n_reused = n
        self.phase = Phase.PREFILL
        while n:
            step = min(n, self.next_piece.n_cells)
            self.advance_prefill(step)
            n -= step
        return self._position + self._offset

    def prefill_rows(self, limit: int) -> tuple[Row, ...]:
        """At most `limit` next prompt tokens; the prompt's last asks for a token."""
        piece = self.next_piece
        assert isinstance(piece, TextPiece)
        end = min(self._offset + limit, piece.n_cells)
        rows = piece.rows(self.slot, self._position, self._offset, end)
        if self._piece == len(self.pieces) - 1 and end == piece.n_cells:
            rows = (*rows[:-1], replace(rows[-1], sampled=True))
        return rows

    def prefill_picture(self, limit: int) -> PictureBatch:
        """The next at most `limit` tokens of the picture at the cursor."""
        piece = self.next_piece
        assert isinstance(piece, PicturePiece)
        part = slice(self._offset, min(self._offset + limit, piece.n_cells))
        embeddings = self.embeddings[piece.ref.sha256]
        return piece.batch(self.slot, self._position, embeddings, part)

    def decode_row(self) -> Row:
        """The latest token, fed back for the one after it."""
        position = self._position + self.n_generated - 1
        return Row(self.slot, self.generated[-1], position, sampled=True)

    def advance_prefill(self, n: int) -> None:
        """Moves the cursor over `n` computed cells; past the prompt, decode begins."""
        self._offset += n
        piece = self.next_piece
        if self._offset == piece.n_cells:
            self._position += piece.n_positions
            self._piece, self._offset = self._piece + 1, 0
        if self._piece == len(self.pieces):
            self.phase = Phase.DECODE
