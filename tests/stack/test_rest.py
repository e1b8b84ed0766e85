"""A stack that nobody asks anything costs next to nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.stack.conftest import Stack, rounds, running

pytestmark = [pytest.mark.stack, pytest.mark.model]

SETTLE_S = 120.0  # after the start, at most
QUIET_S = 2.5  # twice
REST_S = 20.0
# How often a process wakes does not depend on the machine, what that costs does: 1 %
# of a core is usual. So wakes find a forgotten poll, this only one that never sleeps.
MOST_CPU = 0.2
MOST_WAKES = 20.0  # a second and process; measured: 1 to 10
MOST_WAKES_REDIS = 50.0  # its own clock ticks 10 times a second; measured: 20


def cpu_s(process: psutil.Process) -> float:
    return sum(process.cpu_times()[:2])


def n_wakes(process: psutil.Process) -> float:
    """How often its threads waited for something so far."""
    total = 0
    for thread in process.threads():
        with suppress(psutil.NoSuchProcess):
            total += psutil.Process(thread.id).num_ctx_switches().voluntary
    return total


def a_second(
    stack: Stack, seconds: float, *counts: Callable[[psutil.Process], float]
) -> dict[str, list[float]]:
    """How much each count of each process rises a second, in these seconds from now."""
    processes = [psutil.Process(stack.process.pid), *stack.children()]
    before = [[count(one) for count in counts] for one in processes]
    began = time.monotonic()
    time.sleep(seconds)
    passed_s = time.monotonic() - began
    rates = {}
    for process, first in zip(processes, before, strict=True):
        last = [count(process) for count in counts]
        name = f"{process.pid} {' '.join(process.cmdline())[-60:]}"
        rates[name] = [(b - a) / passed_s for a, b in zip(first, last, strict=True)]
    return rates


def settle(stack: Stack) -> None:
    """Until the work of the start is done."""
    give_up, n_quiet = time.monotonic() + SETTLE_S, 0
    while n_quiet < 2 and time.monotonic() < give_up:
        share = 1.0
        with suppress(psutil.NoSuchProcess):  # it was a part of the start
            share = sum(one for (one,) in a_second(stack, QUIET_S, cpu_s).values())
        n_quiet = n_quiet + 1 if share < MOST_CPU else 0


def busy(stack: Stack) -> list[str]:
    """What is not at rest, in the next seconds."""
    try:
        rates = a_second(stack, REST_S, cpu_s, n_wakes)
    except psutil.NoSuchProcess as error:
        return [str(error)]
    for name, (cpu, wakes) in rates.items():
        print(f"{cpu:7.2%} {wakes:5.1f} {name}")
    found = []
    if (all_cpu := sum(cpu for cpu, _ in rates.values())) >= MOST_CPU:
        found.append(f"{all_cpu:.2%} of a core")
    for name, (_, wakes) in rates.items():
        most = MOST_WAKES_REDIS if "valkey-server" in name else MOST_WAKES
        if wakes >= most:
            found.append(f"{wakes:.1f} {name}")
    return found


def test_a_stack_at_rest_sleeps(edge: str, tmp_path: Path) -> None:
    with running(edge, tmp_path) as stack:
        settle(stack)
        for n_busy in rounds(1):
            found = busy(stack)
            n_busy.append(len(found))
    assert found == []
