"""The broker's disk fills up, and there is room again."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.jobs import keys
from tests.conftest import cannot
from tests.faults.asking import ask, until
from tests.faults.conftest import ready
from tests.faults.service import Service

pytestmark = [pytest.mark.redis, pytest.mark.faults]

SIZE = "16m"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of SIZE bytes."""
    disk = tmp_path / "broker"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        cannot("Only root can mount a small disk.")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """A file that leaves no byte free."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue
    return ballast


@pytest.mark.slow
async def test_a_full_disk_is_a_refusal_and_no_process_dies(small_disk: Path) -> None:
    service = Service(small_disk.parent)
    try:
        ready(service)
        pids = {name: service.pid(name) for name in service.children}
        [shown] = service.start_asking("shown", n=100, by=ask)
        with service.slowly():
            await service.until_begun(shown)
        ballast = fill(small_disk)

        async def is_refused() -> bool:
            refused = await ask(service.url, "new", n=5)
            assert refused.status in (200, 503), refused
            return refused.status == 503 and refused.retry_after is not None

        for _ in range(100):  # the log is written each second
            if await is_refused():
                break
            await asyncio.sleep(0.2)
        assert await is_refused()
        await asyncio.sleep(6)  # longer than any lease
        assert await is_refused()
        assert (await shown).end in ("length", "service_unavailable", "worker_lost")
        ballast.unlink()

        async def is_back() -> bool:
            return (await ask(service.url, "after", n=5)).is_right

        for _ in range(100):
            if await is_back():
                break
            await asyncio.sleep(0.2)
        assert await is_back()
        assert {name: service.pid(name) for name in service.children} == pids
        # One that was admitted in the last moment keeps its place for a minute.
        await until(lambda: not service.broker.find(keys.LIVE), 90)
    finally:
        service.stop()
