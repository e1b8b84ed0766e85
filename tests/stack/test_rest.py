"""A stack that nobody asks anything costs next to nothing."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from tests.stack.conftest import running

pytestmark = [pytest.mark.stack, pytest.mark.model]

SETTLE_S = 5.0  # after the start
REST_S = 20.0
# Measured: 1 %. A busy machine takes longer for the same; a forgotten poll costs more.
MOST = 0.03


def cpu_s(processes: list[psutil.Process]) -> dict[str, float]:
    """CPU seconds so far, by process."""
    return {
        f"{one.pid} {' '.join(one.cmdline())[-60:]}": sum(one.cpu_times()[:2])
        for one in processes
    }


def test_a_stack_at_rest_takes_no_cpu_time(edge: str, tmp_path: Path) -> None:
    with running(edge, tmp_path) as stack:
        time.sleep(SETTLE_S)
        processes = [psutil.Process(stack.process.pid), *stack.children()]
        before, began = cpu_s(processes), time.monotonic()
        time.sleep(REST_S)
        passed_s, after = time.monotonic() - began, cpu_s(processes)
    shares = {name: (after[name] - before[name]) / passed_s for name in before}
    told = "\n".join(f"{share:7.2%} {name}" for name, share in shares.items())
    print(told)
    assert sum(shares.values()) < MOST, told
