"""The seams of the engine: who computes. Real and stub pass the same contract tests."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from edge.engine.step import Sampled, Step
from edge.images import Picture
from edge.request import SamplingParams


class Tokenizer(Protocol):
    """Text to tokens and back. May be called from any thread."""

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Token ids. Only with `special` do names like <|im_end|> become control
        tokens; text from a user is always tokenised without."""
        ...

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for; a control token stands for none."""
        ...

    def is_end(self, token: int) -> bool:
        """Whether the model ends its answer with this token."""
        ...


class Constraint(Protocol):
    """Holds one answer to a schema. Belongs to the engine's thread once it is opened.

    Each method raises EngineError when the answer cannot go on within its limits.
    """

    def forced(self) -> list[int]:
        """The next tokens that have no alternative; often none."""
        ...

    def allowed(self) -> npt.NDArray[np.intp]:
        """Ids of all tokens that may come next, in order; at least one."""
        ...

    def allows(self, token: int) -> bool:
        """Whether this one may come next."""
        ...

    def accept(self, token: int) -> None:
        """Moves on behind the token that was chosen."""
        ...


class Runtime(Tokenizer, Protocol):
    """A language model with `n_slots` independent sequences over `n_cells` cells, and
    `n_idle` more that rest.

    Everything but the tokenizer belongs to one thread: the engine's.
    """

    name: str  # who computes, and how exactly
    n_slots: int
    n_cells: int
    n_idle: int

    def check(self, sampling: SamplingParams) -> Constraint | None:
        """What holds one answer to the schema of `sampling`, if it has one. May take
        long; any thread but the engine's may call it.

        Raises InvalidRequest when it cannot sample in this way.
        """
        ...

    def open(
        self, slot: int, sampling: SamplingParams, constraint: Constraint | None = None
    ) -> None:
        """Prepares an empty slot for a sequence that samples in this way, within the
        `constraint` that `check` has made for it."""
        ...

    def share(self, source: int, slot: int, n_positions: int) -> None:
        """Lets an empty slot begin with the cells of `source` that lie before position
        `n_positions`, without computing or copying them."""
        ...

    def rewind(self, slot: int, position: int) -> None:
        """Forgets what the slot holds at `position` and after it. Only a whole picture
        can be forgotten. Tokens that were sampled still count for penalties and for the
        constraint."""
        ...

    def run(self, step: Step) -> list[Sampled]:
        """Computes all spans, and samples what follows each wanted token; those of one
        slot in their order. At most `n_slots` may be wanted in one step.

        Raises EngineError; then the slots in the step hold nothing useful.
        """
        ...

    def release(self, slot: int) -> None:
        """Empties a slot."""
        ...

    def close(self) -> None:
        """Frees the model. Nothing may be called afterwards."""
        ...


class VisionTower(Protocol):
    """A vision encoder. `embed` belongs to one thread: the second one."""

    name: str  # who computes, and how exactly

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Rows and columns of tokens for a picture of this size in pixels."""
        ...

    def embed(self, picture: Picture) -> npt.NDArray[np.float32]:
        """float32 [rows * columns, width], ready for the language model.

        Raises Cancelled when it was interrupted.
        """
        ...

    def interrupt(self) -> None:
        """Ends the `embed` in hand early, where that is possible. Any thread may."""
        ...

    def close(self) -> None: ...
