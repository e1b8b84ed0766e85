"""The allocator gives free memory back, also from between what is used."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import ctypes, time
from pathlib import Path
from edge import heap
heap.TRIM_EVERY_S = float("{every_s}")
heap.keep_heap_small()

def used_mb():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return int(next(l for l in lines if l.startswith("Anonymous:")).split()[1]) / 1024

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
blocks = [libc.malloc(100_000) for _ in range(1000)]
for block in blocks:
    ctypes.memset(block, 1, 100_000)
full = used_mb()
for block in blocks[:-1]:  # the last one keeps the end of the heap
    libc.free(block)
until = time.monotonic() + {wait_s}
while used_mb() > full - 80 and time.monotonic() < until:
    time.sleep(0.05)
print(full - used_mb())
"""


def given_back_mb(every_s: float, wait_s: float) -> float:
    script = SCRIPT.format(every_s=every_s, wait_s=wait_s)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def test_free_pages_are_given_back() -> None:
    assert given_back_mb(0.1, 60) > 80
    assert given_back_mb(600, 1) < 10  # what glibc does by itself
