"""What one step computes: spans of several sequences, and which tokens it samples."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edge.errors import EngineError
from edge.qwen3vl.positions import text_positions

# Of one answer in one step: tokens, and how many of them may be guesses.
MOST_TOKENS = 16
MOST_GUESSED = 7


@dataclass(frozen=True)
class TextSpan:
    """Consecutive tokens of one slot, the first of them at position `start`.

    `wanted` are indices of tokens, ascending: what follows each of them is sampled. The
    tokens behind the first of them are guesses. What follows a guess is sampled only
    when the sampled tokens before it are those of the span. With `reads_state` nothing
    is sampled: the state of the wanted token is the result.
    """

    slot: int
    start: int
    tokens: tuple[int, ...]
    wanted: tuple[int, ...] = ()
    reads_state: bool = False

    @property
    def n_tokens(self) -> int:
        return len(self.tokens)

    @property
    def positions(self) -> npt.NDArray[np.int32]:
        """int32 [4, n]: time, height, width and an unused zero."""
        return text_positions(self.start, len(self.tokens))


@dataclass(frozen=True, eq=False)
class PictureSpan:
    """Consecutive image tokens of one slot: embeddings f16 [n, width], positions i32
    [4, n]."""

    slot: int
    embeddings: npt.NDArray[np.float16]
    positions: npt.NDArray[np.int32]
    wanted: tuple[int, ...] = ()

    @property
    def n_tokens(self) -> int:
        return len(self.embeddings)


Span = TextSpan | PictureSpan


@dataclass(frozen=True, eq=False)
class Step:
    """Spans to compute together; those of one slot are in the order of its sequence.

    With `beside_encoder` the vision encoder uses the same cores meanwhile.
    """

    spans: tuple[Span, ...]
    beside_encoder: bool = False

    @property
    def n_tokens(self) -> int:
        return sum(span.n_tokens for span in self.spans)

    @property
    def slots(self) -> frozenset[int]:
        return frozenset(span.slot for span in self.spans)


@dataclass(frozen=True, eq=False)
class Row:
    """The logits f32 [vocabulary] of the wanted token at `index` of `span`, and its
    state f32 [hidden]: what the last norm gives. A runtime may leave one of them empty
    that the span does not need."""

    span: Span
    index: int
    logits: npt.NDArray[np.float32]
    state: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Logprobs:
    """Of a sampled token: the logarithm of its probability, and those of the likeliest
    tokens, the likeliest first."""

    chosen: float
    likeliest: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Chosen:
    """A token that was sampled, and those behind it that have no alternative; with the
    logprobs of each if they are wanted."""

    tokens: tuple[int, ...]
    logprobs: tuple[Logprobs, ...] = ()

    def __add__(self, other: Chosen) -> Chosen:
        return Chosen(self.tokens + other.tokens, self.logprobs + other.logprobs)


@dataclass(frozen=True)
class Sampled:
    """The result for a slot with wanted tokens: at least one token, or the `state` f32
    [hidden] that its span reads, or the error that ends this sequence alone."""

    slot: int
    tokens: tuple[int, ...] | EngineError
    logprobs: tuple[Logprobs, ...] = ()
    state: npt.NDArray[np.float32] | None = field(default=None, compare=False)
