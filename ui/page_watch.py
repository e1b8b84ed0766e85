"""What is counted of one page, where a question has an answer for each."""

from __future__ import annotations

from edge.caller import Caller
from edge.events import Event, Token
from ui.metrics import Metrics, Stopwatch


class PageWatch(Stopwatch):
    """The clock of a page, which is asked now: its waiting and its tokens are counted,
    and its end is not that of the `whole` question."""

    def __init__(self, metrics: Metrics, whole: Stopwatch) -> None:
        super().__init__(metrics)
        self._whole = whole

    def of(self, caller: Caller | None, model: str) -> None:
        super().of(caller, model)
        self._whole.of(caller, model)

    def record_event(self, event: Event | None) -> None:
        super().record_event(event)
        if isinstance(event, Token):
            self._whole.record_event(event)

    def _finish(self, n_computed: int) -> None:
        self._observe_pace(n_computed)

    def _end(self, outcome: str, code: str) -> None:
        pass
