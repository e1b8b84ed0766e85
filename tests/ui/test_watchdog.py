"""A web process whose event loop stands still ends itself."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

PROGRAM = """
import asyncio, re, sys, time
from ui.watchdog import watched
async def main():
    with watched(asyncio.get_running_loop(), 1.0, 0.1):
        await asyncio.sleep(2.5)
        print("still here", flush=True)
        {then}
asyncio.run(main())
time.sleep(2)
"""
# The last holds Python's own lock all the while: no thread could end it.
STANDING_STILL = ["time.sleep(60)", "re.match('(a+)+$', 'a' * 60 + 'b')"]


@pytest.mark.parametrize("then", STANDING_STILL)
def test_it_ends_when_the_loop_stands_still(then: str) -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(then=then)],
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.stdout == "still here\n"  # it turned for longer than the limit
    assert done.returncode == 1
    assert "in main" in done.stderr  # where it stood
    assert time.monotonic() - began < 40


def test_a_process_that_ends_by_itself_is_left_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(then="pass")], capture_output=True
    )
    assert done.returncode == 0
