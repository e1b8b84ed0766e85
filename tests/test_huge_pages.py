"""Memory that is in use goes into large pages; memory that is not stays away."""

from __future__ import annotations

import mmap
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge.huge_pages import HUGE_BYTES, HUGE_PAGES, MADV_COLLAPSE, collapse_pages

N = 8
GLIBC_BYTES = 64 << 20


def mapped(n_ranges: int) -> mmap.mmap:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    return mmap.mmap(-1, n_ranges * HUGE_BYTES, flags)


def sizes(name: str) -> int:
    """Bytes of this process, of a kind."""
    text = Path("/proc/self/smaps_rollup").read_text()
    return 1024 * int(re.search(rf"^{name}: +(\d+) kB", text, re.M)[1])


@pytest.fixture
def can_collapse() -> None:
    """Asks Linux itself, for as many as a test uses."""
    probe = mapped(N + 1)
    probe[:] = b"\1" * len(probe)
    try:
        probe.madvise(MADV_COLLAPSE)
    except OSError:
        pytest.skip("this Linux has no MADV_COLLAPSE, or too few large pages are free")


def n_free() -> int:
    """How many large pages Linux could give at once."""
    order = (HUGE_BYTES // mmap.PAGESIZE).bit_length() - 1
    zones = Path("/proc/buddyinfo").read_text().splitlines()
    blocks = [zone.split()[4:][order:] for zone in zones]
    return sum(int(n) << more for zone in blocks for more, n in enumerate(zone))


def test_full_memory_is_moved_and_stays_as_it_was(can_collapse) -> None:
    memory = mapped(N)
    pattern = bytes(range(256)) * (HUGE_BYTES // 256)
    for begin in range(0, len(memory), HUGE_BYTES):
        memory[begin : begin + HUGE_BYTES] = pattern
    before = sizes("AnonHugePages")
    assert collapse_pages() >= N - 1  # the mapping may begin anywhere
    assert sizes("AnonHugePages") - before >= (N - 2) * HUGE_BYTES
    assert memory[:] == pattern * N


def test_memory_that_was_never_written_takes_none(can_collapse) -> None:
    memory = mapped(64)
    for begin in range(0, len(memory), HUGE_BYTES):
        memory[begin] = 1
    before = sizes("Rss")
    collapse_pages()
    assert sizes("Rss") - before < 4 * HUGE_BYTES


def test_glibc_gives_large_pages_to_a_process_that_is_started_so() -> None:
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not setting.exists() or "[never]" in setting.read_text():
        pytest.skip("this Linux gives no process large pages")
    if n_free() < GLIBC_BYTES // HUGE_BYTES:
        pytest.skip("too few large pages are free")
    code = (
        f"import re; held = bytearray(b'1') * {GLIBC_BYTES}\n"
        "text = open('/proc/self/smaps_rollup').read()\n"
        "print(re.search(r'AnonHugePages: +(\\d+)', text)[1])"
    )
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, env=HUGE_PAGES, capture_output=True, text=True)
    assert int(ended.stdout) >= 8 * 1024  # kB; as many as are free
