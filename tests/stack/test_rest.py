"""A stack that nobody asks anything costs next to nothing."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.stack.conftest import Stack, running

pytestmark = [pytest.mark.stack, pytest.mark.model]

SETTLE_S = 60.0  # after the start, at most
QUIET_S = 2.5  # twice
REST_S = 20.0
# Measured: 1 %. A busy machine takes longer for the same; a forgotten poll costs more.
MOST = 0.03


def cpu_s(processes: list[psutil.Process]) -> dict[str, float]:
    """CPU seconds so far, by process."""
    return {
        f"{one.pid} {' '.join(one.cmdline())[-60:]}": sum(one.cpu_times()[:2])
        for one in processes
    }


def shares_of_cpu(stack: Stack, seconds: float) -> dict[str, float]:
    """What each process takes of a core in these seconds from now."""
    processes = [psutil.Process(stack.process.pid), *stack.children()]
    before, began = cpu_s(processes), time.monotonic()
    time.sleep(seconds)
    passed_s, after = time.monotonic() - began, cpu_s(processes)
    return {name: (after[name] - before[name]) / passed_s for name in before}


def settle(stack: Stack) -> None:
    """Until the work of the start is done."""
    give_up, n_quiet = time.monotonic() + SETTLE_S, 0
    while n_quiet < 2 and time.monotonic() < give_up:
        share = 1.0
        with suppress(psutil.NoSuchProcess):  # it was a part of the start
            share = sum(shares_of_cpu(stack, QUIET_S).values())
        n_quiet = n_quiet + 1 if share < MOST else 0


def test_a_stack_at_rest_takes_no_cpu_time(edge: str, tmp_path: Path) -> None:
    with running(edge, tmp_path) as stack:
        settle(stack)
        shares = shares_of_cpu(stack, REST_S)
    told = "\n".join(f"{share:7.2%} {name}" for name, share in shares.items())
    print(told)
    assert sum(shares.values()) < MOST, told
