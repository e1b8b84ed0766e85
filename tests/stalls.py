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
import pytest_timeout

TICK_S: Final = 0.1
LEAST_S: Final = 1.0  # a third of the shortest limit of the product, a heartbeat's
LATER_S: Final = 10.0  # a part that was taken for dead is back


class Stalls:
    """How late a thread wakes that sleeps for TICK_S, again and again."""

    def __init__(self) -> None:
        self.lengths_s: list[float] = []
        self._ended_at = self._began_at = float("-inf")
        self._woke_at = time.monotonic()
        threading.Thread(target=self._watch, name="stalls", daemon=True).start()

    def begin(self) -> None:
        """A test begins."""
        self._began_at = time.monotonic()

    def happened(self) -> bool:
        """Whether the machine stood still while the test ran, or a moment before, or
        does it yet."""
        is_late = time.monotonic() - self._woke_at > TICK_S + LEAST_S
        return is_late or self._ended_at > self._began_at - LATER_S

    def _watch(self) -> None:
        own_s = time.process_time()
        while True:
            time.sleep(TICK_S)
            now, own_before_s, own_s = time.monotonic(), own_s, time.process_time()
            late_s = now - self._woke_at - TICK_S
            # or a test has held Python's lock
            if late_s > LEAST_S and own_s - own_before_s < late_s / 2:
                self.lengths_s.append(late_s)
                self._ended_at = now
            self._woke_at = now


STALLS: Final = Stalls()


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker(pytest.mark.flaky(reruns=1, condition=STALLS.happened))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    STALLS.begin()
    if getattr(item, "execution_count", 1) > 1:  # the failure has stopped its timer
        settings = pytest_timeout._get_item_settings(item)
        if settings.timeout and not settings.func_only:
            item.config.hook.pytest_timeout_set_timer(item=item, settings=settings)


@pytest.hookimpl(tryfirst=True)  # before pytest-rerunfailures reads the count
def pytest_runtest_teardown(item: pytest.Item) -> None:
    if not STALLS.happened():
        # The last run: what did not start for one test is not started for each.
        item.execution_count = 2  # type: ignore[attr-defined]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if lengths_s := STALLS.lengths_s:
        n, most_s = len(lengths_s), max(lengths_s)
        told = f"Moments in which the machine stood still: {n}, at most {most_s:.1f} s."
        terminalreporter.write_line(told)
