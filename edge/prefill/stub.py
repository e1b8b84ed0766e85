"""A prefill without a model: right places and tokens, nothing in the cells."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from edge.engine.batch import Batch, Cells
from edge.errors import Cancelled
from edge.prefill.prompt import positions_of, tokens_of


class StubPrefill:
    """Computes a prompt after `seconds` of sleep."""

    name = "stub"

    def __init__(self, longest: int = 4096, seconds: float = 0.0) -> None:
        self.longest = longest
        self.seconds = seconds
        self._interrupted = threading.Event()

    def compute(self, prompt: Sequence[Batch]) -> Cells:
        self._interrupted.clear()
        if self._interrupted.wait(self.seconds):
            raise Cancelled("Nobody waits for this any more.")
        return Cells(tokens_of(prompt), positions_of(prompt), [])

    def interrupt(self) -> None:
        self._interrupted.set()

    def close(self) -> None:
        pass
