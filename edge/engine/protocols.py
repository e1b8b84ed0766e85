"""The compute seam: what the engine needs of a language model and a vision encoder.

All implementations and the stubs pass the same tests, `tests/contract`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edge.engine.step import Sampled, Step
from edge.images import Picture
from edge.request import SamplingParams


class Tokenizer(Protocol):
    """Text to tokens and back. May be called from any thread."""

    n_vocab: int  # tokens of the vocabulary

    def label(self, token: int) -> bytes:
        """The bytes of a token; of a control token those of its name."""
        ...

    @property
    def ends(self) -> Sequence[int]:
        """The tokens that end an answer."""
        ...

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Token ids. Names like <|im_end|> become control tokens only with `special`,
        which is never used for text from a client."""
        ...

    def piece(self, token: int) -> bytes:
        """The bytes of a token; none for a control token."""
        ...


class Constraint(Protocol):
    """Keeps one answer within a schema. Belongs to the engine thread once its slot is
    open.

    Each method raises EngineError when the answer cannot continue within its limits.
    """

    def forced(self) -> list[int]:
        """The next tokens that have no alternative; often none, and none after the
        end."""
        ...

    def allowed(self) -> npt.NDArray[np.intp]:
        """Ids of all tokens that may come next, ascending; at least one."""
        ...

    def allows(self, token: int) -> bool:
        """Whether this one may come next."""
        ...

    def accept(self, token: int) -> None:
        """Advances by the token that was chosen."""
        ...


class Runtime(Tokenizer, Protocol):
    """A language model with `n_slots` independent running slots and `n_idle` idle ones
    over `n_cells` KV cells.

    Only the engine thread calls it, except the tokenizer and `check`.
    """

    name: str  # of the backend and its precision
    n_slots: int
    n_cells: int
    n_idle: int

    @property
    def score_row(self) -> npt.NDArray[np.float32]:
        """f32 [hidden]: its product with the state of a token is the logarithm of the
        odds of "yes" against "no" as the next one. Raises SetupError when the file
        cannot be read for it."""
        ...

    def check(self, sampling: SamplingParams) -> Constraint | None:
        """A constraint for the schema of `sampling`, if it has one. May take long: any
        thread but the engine thread may call it.

        Raises InvalidRequest when the model cannot sample in this way.
        """
        ...

    def open(
        self, slot: int, sampling: SamplingParams, constraint: Constraint | None = None
    ) -> None:
        """Prepares an empty slot for a sequence that samples in this way, within a
        `constraint` from `check`."""
        ...

    def share(self, source: int, slot: int, n_positions: int) -> None:
        """Lets an open, empty slot begin with the tokens of `source` before position
        `n_positions`, without computing them."""
        ...

    def rewind(self, slot: int, position: int) -> None:
        """Removes the tokens of a slot at `position` and after it; of a picture, all
        tokens. What was sampled still counts for penalties and for the constraint."""
        ...

    def run(self, step: Step) -> list[Sampled]:
        """Computes all spans, and samples what follows the wanted tokens of each slot
        as `sample_rows` says, in one span of each slot at most; or gives the state of
        the wanted token.

        Beside the prompts each slot has at most MOST_TOKENS, of which MOST_GUESSED + 1
        may be wanted. No guess ends an answer. Rejected ones stay until `rewind`.

        Raises EngineError; then the slots in the step hold nothing useful.
        """
        ...

    def stop(self, slot: int) -> None:
        """Samples no more in a slot, and drops what that takes: a constraint may hold
        megabytes. Its cells stay until `release`."""
        ...

    def release(self, slot: int) -> None:
        """Empties a slot."""
        ...

    def close(self) -> None:
        """Frees the model. Nothing may be called afterwards."""
        ...


class VisionTower(Protocol):
    """A vision encoder. Only the encoder thread calls `embed` and `rest`."""

    name: str  # of the backend and its precision
    n_stages: int  # of a picture, with a pause between any two; 1: it cannot pause
    width: int  # numbers of one embedding

    def grid(self, width: int, height: int, n_frames: int = 1) -> tuple[int, int]:
        """Rows and columns of image tokens for a picture of this size in pixels. A pair
        that has the size of a grid keeps it, even if it is small."""
        ...

    def embed(
        self, picture: Picture, pause: Callable[[], None] = lambda: None
    ) -> npt.NDArray[np.float16]:
        """Embeddings for the language model, float16 [rows * columns, width].

        Calls `pause` between stages and computes nothing meanwhile. What `pause` raises
        ends it.
        """
        ...

    def rest(self) -> None:
        """Frees the memory that only `embed` needs; the next one takes it again."""
        ...

    def close(self) -> None: ...


class EmbeddingStore(Protocol):
    """Embeddings of pictures that outlive this process, float16 [rows * columns,
    width]. Any thread but the engine thread may call `get`."""

    def get(
        self, scope: str, sha256: str, grid: tuple[int, int], width: int
    ) -> npt.NDArray[np.float16] | None:
        """Those of a picture for callers of `scope`, within a fraction of the time that
        encoding takes; None when they are not there."""
        ...

    def put(
        self,
        scope: str,
        sha256: str,
        grid: tuple[int, int],
        embeddings: npt.NDArray[np.float16],
    ) -> None:
        """Stores those of a picture, some time after it has returned."""
        ...
