"""Keeps the lease of a job while its question is prepared."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from edge.redis_clients import AWAY


class Renewal:
    """Calls `renew` every `pause_s` while it is entered, in a thread of its own: a
    grammar that is tried out first may take longer than a lease lasts.

    `is_wanted` is what it returned last: whether a client waits for the answer.
    """

    def __init__(self, renew: Callable[[], bool], pause_s: float) -> None:
        self.is_wanted = True
        self._renew = renew
        self._pause_s = pause_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="renewal", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while self.is_wanted and not self._over.wait(self._pause_s):
            try:
                self.is_wanted = self._renew()
            except AWAY:  # as long as leases can outlast it
                continue
