"""Mapped files give their memory back."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.openvino.cache_files import dropping, map_file
from tests.conftest import wait_for

SIZE = 32 << 20


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[mmap.mmap]:
    path = tmp_path / "weights"
    path.write_bytes(b"x" * SIZE)
    with map_file(path) as pages:
        yield pages


def resident_bytes(pages: mmap.mmap) -> int:
    """What this process has in memory of the mapping of `tmp_path / "weights"`."""
    rows = Path("/proc/self/smaps").read_text().splitlines()
    [start] = (i for i, row in enumerate(rows) if row.endswith("/weights"))
    [rss] = (row for row in rows[start : start + 8] if row.startswith("Rss:"))
    return int(rss.split()[1]) << 10


def test_pages_are_dropped_while_they_are_read(pages: mmap.mmap) -> None:
    with dropping(pages):
        assert pages[:].count(b"x") == SIZE
        wait_for(lambda: resident_bytes(pages) == 0)
        assert pages[:].count(b"x") == SIZE
    assert resident_bytes(pages) == 0
    assert pages[:].count(b"x") == SIZE
    assert resident_bytes(pages) == SIZE
