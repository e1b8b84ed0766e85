"""What the engine gives for a question: its events as they come, and a way out."""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass, field

from edge.engine.sequence import Sequence
from edge.errors import EdgeError
from edge.events import Event, Failed, Terminal
from edge.request import Timings


@dataclass
class Clock:
    """Seconds of a monotonic clock at which a sequence passed its milestones."""

    submitted: float
    prepared: float = 0.0
    embedded: float = 0.0
    admitted: float = 0.0
    first_token: float = 0.0

    def timings(self, now: float, n_generated: int) -> Timings:
        rest = now - self.first_token
        return Timings(
            prepare_ms=1000 * (self.prepared - self.submitted),
            embed_ms=1000 * (self.embedded - self.prepared),
            queue_ms=1000 * (self.admitted - self.embedded),
            prefill_ms=1000 * (self.first_token - self.admitted),
            ttft_ms=1000 * (self.first_token - self.submitted),
            tpot_ms=1000 * rest / (n_generated - 1) if n_generated > 1 else 0.0,
            e2e_ms=1000 * (now - self.submitted),
        )


@dataclass(eq=False)
class Ticket:
    """A submitted question: its events, the last one terminal, and a way out."""

    sequence: Sequence
    clock: Clock
    _post: Callable[[Callable[[], None]], None]
    _end: Callable[[Ticket, Terminal], None]
    events: queue.SimpleQueue[Event] = field(default_factory=queue.SimpleQueue)

    def next(self, timeout_s: float | None = None) -> Event | None:
        """The next event, or None when `timeout_s` passes without one."""
        try:
            return self.events.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def cancel(self, reason: EdgeError) -> None:
        """Ends the question with `Failed(reason)`, unless it has ended already."""
        self._post(lambda: self._end(self, Failed.because(reason)))
