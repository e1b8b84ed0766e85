"""A sequence: the engine's live state of one question. Data, no policy.

A prompt is a list of pieces, text or picture. Cells and positions are different
numbers: a picture of 19 x 25 tokens fills 475 cells and moves the position on by 25.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

import numpy as np
import numpy.typing as npt

from edge.engine.batch import PictureBatch, Row
from edge.engine.detokenizer import Detokenizer
from edge.request import FinishReason, PictureRef, SamplingParams
from edge.vision.positions import picture_advance, picture_positions


@dataclass(frozen=True)
class TextPiece:
    """A run of tokens."""

    tokens: tuple[int, ...]

    @property
    def n_cells(self) -> int:
        return len(self.tokens)

    @property
    def n_positions(self) -> int:
        return len(self.tokens)


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
    def n_positions(self) -> int:
        return picture_advance(self.rows, self.columns)


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
    phase: Phase = Phase.EMBED
    embeddings: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    slot: int = -1  # set by the scheduler when it admits the sequence
    n_generated: int = 0
    last_token: int = -1
    finish_reason: FinishReason = "stop"
    # The prefill cursor: the piece, how many of its cells are done, its first position.
    _piece: int = 0
    _offset: int = 0
    _position: int = 0

    def __post_init__(self) -> None:
        self.detokenizer = Detokenizer(self.sampling.stop)

    @property
    def n_prompt(self) -> int:
        return sum(piece.n_cells for piece in self.pieces)

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

    def prefill_rows(self, limit: int) -> tuple[Row, ...]:
        """At most `limit` next prompt tokens; the prompt's last asks for a token."""
        piece = self.next_piece
        assert isinstance(piece, TextPiece)
        end = min(self._offset + limit, piece.n_cells)
        is_last = self._piece == len(self.pieces) - 1
        return tuple(
            Row(
                self.slot,
                piece.tokens[i],
                self._position + i,
                sampled=is_last and i == piece.n_cells - 1,
            )
            for i in range(self._offset, end)
        )

    def prefill_picture(self, limit: int) -> PictureBatch:
        """The next at most `limit` tokens of the picture at the cursor."""
        piece = self.next_piece
        assert isinstance(piece, PicturePiece)
        part = slice(self._offset, min(self._offset + limit, piece.n_cells))
        positions = picture_positions(self._position, piece.rows, piece.columns)
        return PictureBatch(
            self.slot, self.embeddings[piece.ref.sha256][part], positions[:, part]
        )

    def decode_row(self) -> Row:
        """The latest token, fed back for the one after it."""
        position = self._position + self.n_generated - 1
        return Row(self.slot, self.last_token, position, sampled=True)

    def prefilled(self, n: int) -> None:
        """Moves the cursor over `n` computed cells; past the prompt, decode begins."""
        self._offset += n
        piece = self.next_piece
        if self._offset == piece.n_cells:
            self._position += piece.n_positions
            self._piece, self._offset = self._piece + 1, 0
        if self._piece == len(self.pieces):
            self.phase = Phase.DECODE
