"""The second thread: the tower's, beside the engine's own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge.errors import Cancelled


@dataclass(frozen=True)
class Order:
    """A picture to embed for somebody.

    `compute` and then `done`, with what came of it or went wrong, are called on the
    second thread; `interrupt` ends `compute` early. `is_wanted` is asked when the
    order's turn comes: nobody's is skipped.
    """

    compute: Callable[[], Any]
    interrupt: Callable[[], None]
    is_wanted: Callable[[], bool]
    done: Callable[[Any], None]


class SideThread:
    """Embeds one picture at a time, in their order.

    After each it waits for `go_on`: the language model has to compute that one before
    another helps anybody, and both at once would take each other's cores.
    """

    def __init__(self) -> None:
        self._orders: deque[Order] = deque()
        self._may_go_on = True
        self._is_closing = False
        self._in_hand: Order | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._loop, name="side", daemon=True)
        self._thread.start()

    def add(self, order: Order) -> None:
        with self._changed:
            self._orders.append(order)
            self._changed.notify()

    @property
    def is_busy(self) -> bool:
        """Whether it computes, or is just about to."""
        with self._changed:
            return self._in_hand is not None or self._has_next

    def go_on(self) -> None:
        """Lets the next picture be embedded."""
        with self._changed:
            self._may_go_on = True
            self._changed.notify()

    def drop_unwanted(self) -> None:
        """Interrupts what is in hand if nobody wants it any more."""
        order = self._in_hand
        if order and not order.is_wanted():
            order.interrupt()

    def close(self) -> None:
        """Ends the thread after what is in hand."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join()

    def _loop(self) -> None:
        while self._compute_next():
            pass  # and hold nothing of it: what came of it may be large

    def _compute_next(self) -> bool:
        """False at the end."""
        if (order := self._next()) is None:
            return False
        outcome = _outcome(order)
        self._in_hand = None
        if outcome is not None:
            self._may_go_on = False
            order.done(outcome)
        return True

    def _next(self) -> Order | None:
        """Waits for it; None at the end."""
        with self._changed:
            while not self._is_closing:
                if self._has_next:
                    self._in_hand = self._orders.popleft()
                    return self._in_hand
                self._changed.wait()
            return None

    @property
    def _has_next(self) -> bool:
        return bool(self._orders) and self._may_go_on


def _outcome(order: Order) -> Any:
    """None when nobody wants it any more."""
    # An interrupt that came late may have met the next order: once more then.
    while order.is_wanted():
        try:
            return order.compute()
        except Cancelled:
            continue
        except Exception as error:
            return error
    return None
