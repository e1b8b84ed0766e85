"""A web process whose event loop stands still ends itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, re, sys, time
from ui.watchdog import watched
async def main():
    with watched(asyncio.get_running_loop(), {still_s}, 0.1):
        await asyncio.sleep({still_s} + 1.5)
        print("still here", flush=True)
        {then}
asyncio.run(main())
print("over", flush=True)
time.sleep({still_s} + 1)
"""
# The last holds Python's own lock all the while: no thread could end it.
STANDING_STILL = ["time.sleep(600)", "re.match('(a+)+$', 'a' * 60 + 'b')"]


def run(then: str, word: str) -> subprocess.CompletedProcess[str]:
    """With a wider limit where it does not come to `word` because it got no CPU for a
    second. One whose watch ends it in spite of its turns does not come to it twice."""
    for still_s in (1.0, 15.0):
        program = PROGRAM.format(then=then, still_s=still_s)
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
        if word in done.stdout:
            break
    return done


@pytest.mark.parametrize("then", STANDING_STILL)
def test_it_ends_when_the_loop_stands_still(then: str) -> None:
    done = run(then, "still here")
    assert done.stdout == "still here\n"  # it turned for longer than the limit
    assert done.returncode == 1
    assert "in main" in done.stderr  # where it stood


def test_a_process_that_ends_by_itself_is_left_alone() -> None:
    done = run("pass", "over")
    assert done.stdout == "still here\nover\n"
    assert done.returncode == 0
