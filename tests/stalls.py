"""Notices when the machine stands still, and repeats once what failed meanwhile.

A virtual machine may be without its processors for seconds. A worker then misses its
heartbeat, a stream its lease, a page its frame: what a test saw proves nothing. Any
other failure counts at once. The end of the run names what was repeated and tells how
often the machine stood still.
"""

from __future__ import annotations

import threading
import time
from typing import Final

import pytest

TICK_S: Final = 0.1
LEAST_S: Final = 1.0  # a third of the shortest limit of the product, a heartbeat's


class Stalls:
    """How late a thread wakes that sleeps for TICK_S, again and again."""

    def __init__(self) -> None:
        self.lengths_s: list[float] = []
        self._n_before = 0
        self._woke_at = time.monotonic()
        threading.Thread(target=self._watch, name="stalls", daemon=True).start()

    def begin(self) -> None:
        """A test begins."""
        self._n_before = len(self.lengths_s)

    def happened(self) -> bool:
        """Whether the machine stood still since the test began, or does it yet."""
        is_late = time.monotonic() - self._woke_at > TICK_S + LEAST_S
        return is_late or len(self.lengths_s) > self._n_before

    def _watch(self) -> None:
        while True:
            time.sleep(TICK_S)
            now = time.monotonic()
            if (late_s := now - self._woke_at - TICK_S) > LEAST_S:
                self.lengths_s.append(late_s)
            self._woke_at = now


STALLS: Final = Stalls()


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.flaky(reruns=1, condition=STALLS.happened))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    STALLS.begin()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if lengths_s := STALLS.lengths_s:
        n, most_s = len(lengths_s), max(lengths_s)
        told = f"Moments in which the machine stood still: {n}, at most {most_s:.1f} s."
        terminalreporter.write_line(told)
