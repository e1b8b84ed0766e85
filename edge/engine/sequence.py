"""A sequence: the engine's live state of one question. Data, no policy.

A prompt is a list of pieces, text or picture. Tokens and positions are different
numbers: a picture of 19 x 25 tokens fills 475 cells and advances the position by 25.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property

import numpy as np
import numpy.typing as npt

from edge.cache_use import CacheUse
from edge.engine.detokenizer import Detokenizer
from edge.engine.protocols import Constraint
from edge.engine.slots import Content
from edge.engine.step import PictureSpan, Span, TextSpan
from edge.images import Picture
from edge.qwen3vl.positions import picture_advance, picture_positions
from edge.request import PictureRef, SamplingParams


@dataclass(frozen=True)
class TextPiece:
    """Tokens of text."""

    tokens: tuple[int, ...]

    @property
    def n_tokens(self) -> int:
        return len(self.tokens)

    @property
    def content(self) -> Content:
        return list(self.tokens)

    @property
    def n_positions(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class PicturePiece:
    """A picture of rows x columns image tokens."""

    ref: PictureRef
    rows: int
    columns: int

    @property
    def n_tokens(self) -> int:
        return self.rows * self.columns

    @property
    def content(self) -> Content:
        return [self.ref.sha256] * self.n_tokens

    @property
    def n_positions(self) -> int:
        return picture_advance(self.rows, self.columns)


Piece = TextPiece | PicturePiece
_LABEL_TOKENS = 128  # a name of a file, and a page


class Phase(Enum):
    """The phases of a sequence, in order."""

    EMBED = auto()
    WAIT = auto()
    PREFILL = auto()
    DECODE = auto()
    DONE = auto()


@dataclass(frozen=True, eq=False)
class Siblings:
    """The prompts of one request: the first `n_common` cells of all are equal."""

    n_common: int


@dataclass(eq=False)
class Sequence:
    """One question inside the engine."""

    pieces: tuple[Piece, ...]
    sampling: SamplingParams
    scope: str = ""  # only sequences of one scope share cells: see `edge.caller`
    written: str = ""  # text of the answer that is part of the prompt
    phase: Phase = Phase.EMBED
    ends: frozenset[int] = frozenset()  # the tokens that end its answer
    constraint: Constraint | None = None  # on the tokens of the answer
    reads_state: bool = False  # its result is a state, not an answer
    siblings: Siblings | None = None  # None: its request has no other prompt
    arrival: int = 0  # from 1, in the order in which sequences came to the scheduler
    pixels: dict[str, Picture] = field(default_factory=dict)  # until they are encoded
    embeddings: dict[str, npt.NDArray[np.float16]] = field(default_factory=dict)
    fetched: dict[str, npt.NDArray[np.float16]] = field(default_factory=dict)
    generated: list[int] = field(default_factory=list)
    n_fed: int = 0  # tokens behind the prompt that the cache holds
    guesses: tuple[int, ...] = ()  # for the next step, behind what was generated
    n_steps: int = 0  # that have given tokens of the answer
    n_drafted: int = 0  # guesses that were computed
    n_accepted: int = 0  # of them, the right ones
    n_dropped: int = 0  # messages of the conversation that did not fit
    n_dropped_pictures: int = 0  # stills, with these messages
    n_first: int = 0  # pictures that are the first of several in their file
    dropped_tools: bool = False  # they did not fit either
    n_reused: int = 0  # tokens of the prompt that another sequence had computed
    n_memory_image: int = 0  # image tokens whose embeddings were in memory
    n_stored_image: int = 0  # image tokens whose embeddings were in the store
    cache: CacheUse = CacheUse.DEFAULT  # of results of other sequences, and its own
    # prefill cursor: the piece, how many of its tokens are done, its first position
    _piece: int = 0
    _offset: int = 0
    _position: int = 0

    def __post_init__(self) -> None:
        self.detokenizer = Detokenizer(self.sampling.stop, self.written)

    @cached_property
    def content(self) -> Content:
        """The content of each cell of the prompt. The first one names the scope too, so
        that sequences of different scopes have no common prefix."""
        first, *others = [entry for piece in self.pieces for entry in piece.content]
        return [f"{self.scope} {first}", *others]

    @property
    def has_siblings(self) -> bool:
        return self.siblings is not None

    @property
    def n_prompt(self) -> int:
        """Tokens of the prompt, image tokens included."""
        return len(self.content)

    @property
    def n_image(self) -> int:
        """Image tokens of the prompt."""
        return sum(p.n_tokens for p in self.pieces if isinstance(p, PicturePiece))

    def labels(self, piece: Callable[[int], bytes]) -> list[str]:
        """What the prompt calls each still: the line before it, if that ends with a
        colon. `piece` gives the text of a token in UTF-8."""
        labels = []
        for before, one in zip((None, *self.pieces), self.pieces, strict=False):
            if isinstance(one, PicturePiece) and not one.ref.is_pair:
                tokens: tuple[int, ...] = ()
                if isinstance(before, TextPiece):
                    tokens = before.tokens[-_LABEL_TOKENS:]
                text = b"".join(map(piece, tokens)).decode(errors="replace")
                is_label = text.endswith(":\n")
                labels.append(text[:-2].rpartition("\n")[2] if is_label else "")
        return labels

    @property
    def pictures(self) -> list[PictureRef]:
        """Of the prompt, in its order; the same picture may be there twice."""
        return [p.ref for p in self.pieces if isinstance(p, PicturePiece)]

    @property
    def n_generated(self) -> int:
        return len(self.generated)

    @property
    def cached_content(self) -> Content:
        """The content of all cells so far; the latest tokens are in none yet."""
        if self.phase is Phase.PREFILL:
            return self.content[: self.n_prefilled]
        return [*self.content, *self.generated[: self.n_fed]]

    @property
    def n_prefilled(self) -> int:
        """Tokens of the prompt that are computed."""
        return sum(p.n_tokens for p in self.pieces[: self._piece]) + self._offset

    @property
    def n_cells_needed(self) -> int:
        """All the cells it can ever fill. The last token is not fed back."""
        return self.n_prompt + self.sampling.max_tokens - 1

    @property
    def missing_pictures(self) -> list[str]:
        """Hashes of pictures without embeddings, each once, in prompt order."""
        hashes = dict.fromkeys(self.picture_hashes)
        return [sha256 for sha256 in hashes if sha256 not in self.embeddings]

    @property
    def picture_hashes(self) -> list[str]:
        """Of all pictures in prompt order; the same picture may be there twice."""
        return [ref.sha256 for ref in self.pictures]

    def receive(self, sha256: str, embeddings: npt.NDArray[np.float16]) -> None:
        """One of its pictures is encoded: the pixels are not needed any more."""
        self.embeddings[sha256] = embeddings
        del self.pixels[sha256]

    def match_prefix(self, content: Content) -> int:
        """The number of cells that prompt and `content` have in common at the
        beginning: whole pictures only, and never the last cell, whose logits are
        needed."""
        n = 0
        most = min(len(content), self.n_prompt - 1)
        while n < most and self.content[n] == content[n]:
            n += 1
        end = 0
        for piece in self.pieces:
            if end + piece.n_tokens > n:
                return end if isinstance(piece, PicturePiece) else n
            end += piece.n_tokens
        return n

    def skip_cached(self, n: int) -> int:
        """Begins behind the first `n` cells, the result of `match_prefix`. Returns the
        position there."""
        self.n_reused = n
        self.phase = Phase.PREFILL
        self.advance_prefill(n)
        return self._position + self._offset

    def prefill_spans(self, slot: int, limit: int) -> Iterator[Span]:
        """The prompt from the cursor on, at most `limit` tokens together. The prompt's
        last token is wanted."""
        offset, position = self._offset, self._position
        for piece in self.pieces[self._piece :]:
            stop = min(offset + limit, piece.n_tokens)
            if isinstance(piece, TextPiece):
                is_end = piece is self.pieces[-1] and stop == piece.n_tokens
                wanted = (stop - offset - 1,) if is_end else ()
                tokens = piece.tokens[offset:stop]
                reads = self.reads_state and is_end
                yield TextSpan(slot, position + offset, tokens, wanted, reads)
            else:
                at = picture_positions(position, piece.rows, piece.columns)
                embeddings = self.embeddings[piece.ref.sha256][offset:stop]
                yield PictureSpan(slot, embeddings, at[:, offset:stop])
            limit -= stop - offset
            if limit == 0:
                return
            offset, position = 0, position + piece.n_positions

    def decode_span(self, slot: int) -> TextSpan:
        """The latest tokens, fed back for the one after them, and the guesses."""
        known = self.generated[self.n_fed :]
        tokens = (*known, *self.guesses)
        wanted = tuple(range(len(known) - 1, len(tokens)))
        return TextSpan(slot, self._position + self.n_fed, tokens, wanted)

    def reject_guesses(self) -> int | None:
        """Counts the guesses of the step before, now that its tokens are part of the
        answer. Returns the position of the first wrong one, where the cache must be
        rewound to, if there is one."""
        n_guessed = len(self.guesses)
        real = self.generated[self.n_fed - n_guessed :]
        n_right = n_equal(self.guesses, real)
        self.n_drafted += n_guessed
        self.n_accepted += n_right
        self.guesses = ()
        self.n_fed -= n_guessed - n_right
        return self._position + self.n_fed if n_right < n_guessed else None

    def advance_prefill(self, n: int) -> None:
        """Moves the cursor by `n` computed tokens; decode begins behind the prompt, and
        needs no embeddings: those of a video take 16 KB a token."""
        self._offset += n
        while self.phase is Phase.PREFILL:
            piece = self.pieces[self._piece]
            if self._offset < piece.n_tokens:
                return
            self._offset -= piece.n_tokens
            self._position += piece.n_positions
            self._piece += 1
            if self._piece == len(self.pieces):
                self.phase = Phase.DECODE
                self.embeddings.clear()


def supply_pixels(
    sequences: Iterable[Sequence], pictures: Mapping[str, Picture]
) -> None:
    """Gives each the pixels of its pictures, which are in `pictures` by sha256."""
    for sequence in sequences:
        sequence.pixels = {s: pictures[s] for s in sequence.missing_pictures}


def n_equal(guesses: tuple[int, ...], real: list[int]) -> int:
    """How many tokens are equal before the first that differs."""
    n = 0
    while n < min(len(guesses), len(real)) and guesses[n] == real[n]:
        n += 1
    return n
