"""Polls a running process, in a thread of its own, for whether it still answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

# Between two polls of a process that answers. A worker is listed for longer than this
# after its death, so its first answer is not missed.
POLL_S = 2.0
DOUBT_S = 0.5  # the same until it answers, and after a poll that it missed
# The most that one failed poll counts for: this process may have been stopped itself.
MAX_COUNTED_S = 4.0


class Watch:
    """How long the process `pid` has been silent. A hanging poll delays nothing else.

    `is_missed` returns True when the process does not answer, None when that cannot be
    known; an exception counts as True.
    """

    def __init__(
        self, name: str, pid: int, is_missed: Callable[[int], bool | None]
    ) -> None:
        self._pid = pid
        self._is_missed = is_missed
        self._closed = threading.Event()
        self.has_answered = False
        self.silent_s = 0.0  # since its last answer, or its start
        threading.Thread(target=self._poll, name=name, daemon=True).start()

    def close(self) -> None:
        self._closed.set()

    def record_answer(self) -> None:
        self.has_answered, self.silent_s = True, 0.0

    def _poll(self) -> None:
        before = time.monotonic()
        while not self._closed.is_set():
            missed: bool | None = True
            with suppress(Exception):
                missed = self._is_missed(self._pid)
            if missed:
                passed_s = time.monotonic() - before
                self.silent_s += min(passed_s, MAX_COUNTED_S)
            elif missed is False:
                self.record_answer()
            before = time.monotonic()
            self._closed.wait(DOUBT_S if missed else POLL_S)
