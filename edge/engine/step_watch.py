"""How long a thread has been at its present step: whether it hangs."""

from __future__ import annotations

import time


class StepWatch:
    """The engine or the encoder thread tells it; any thread may ask. It hangs if
    `silent_s` is far more than `longest_s`, the longest step so far."""

    def __init__(self) -> None:
        self._began: float | None = None
        self.longest_s = 0.0

    @property
    def silent_s(self) -> float:
        """Seconds of the present step, or of the stage of a picture that the engine
        waits for; 0 without work."""
        began = self._began
        return 0.0 if began is None else time.monotonic() - began

    def begin(self) -> None:
        """A step begins."""
        self._began = time.monotonic()

    def end(self) -> None:
        """The step has ended, and what is next is not known yet."""
        self.longest_s = max(self.longest_s, self.silent_s)

    def pause(self) -> None:
        """There is no work."""
        self._began = None
