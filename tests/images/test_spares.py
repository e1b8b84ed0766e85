"""Children that wait for a picture: confined, used once, replaced, and never left."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image

from edge.images import Decoding, Spares, confinement
from edge.images.limits import SMALL, Limits
from tests.conftest import cannot, wait_for

N = 2


def encode(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


PICTURE = encode(Image.linear_gradient("L"))
LARGE = encode(Image.new("L", (2049, 2049)))


@pytest.fixture
def spares() -> Iterator[Spares]:
    found = Spares(N)
    found.refill()
    yield found
    found.close()


def pids(spares: Spares) -> list[int]:
    return [child.pid for child in spares._children]


def test_each_serves_one_picture_and_is_replaced(spares: Spares) -> None:
    first = pids(spares)
    fresh = Decoding(PICTURE, 64).run()
    for n_left in (1, 0):
        decoding = Decoding(PICTURE, 64, None, spares)
        assert decoding.run() == fresh
        assert decoding._child and decoding._child.pid in first
        assert decoding._child.returncode == 0
        assert len(pids(spares)) == n_left
    assert Decoding(PICTURE, 64, None, spares).run() == fresh  # none is left
    spares.refill()
    assert len(pids(spares)) == N and not set(pids(spares)) & set(first)


def test_a_size_is_part_of_the_order(spares: Spares) -> None:
    picture = Decoding(PICTURE, 64, (32, 64), spares).run()
    assert (picture.width, picture.height) == (32, 64)


def test_a_large_picture_gets_limits_of_its_own(spares: Spares) -> None:
    decoding = Decoding(LARGE, 64, None, spares)
    decoding.run()
    assert decoding.limits != SMALL
    assert len(pids(spares)) == N
    assert spares.take(Limits(SMALL.cpu_s + 1, SMALL.memory_bytes)) is None


def test_dead_ones_are_passed_over(spares: Spares) -> None:
    before = pids(spares)
    os.kill(before[1], signal.SIGKILL)  # the next to be taken
    wait_for(lambda: psutil.Process(before[1]).status() == psutil.STATUS_ZOMBIE)
    decoding = Decoding(PICTURE, 64, None, spares)
    assert decoding.run()
    assert decoding._child and decoding._child.pid == before[0]
    assert not psutil.pid_exists(before[1])


def test_they_wait_without_rights(spares: Spares) -> None:
    if sentences := confinement():
        cannot(" ".join(sentences))
    for pid in pids(spares):
        proc = Path(f"/proc/{pid}")
        wait_for(lambda: "\nSeccomp:\t2" in (proc / "status").read_text())  # noqa: B023
        assert (proc / "environ").read_bytes() == b"OPENBLAS_NUM_THREADS=1\0"
        assert os.readlink(proc / "cwd") == "/"
        assert set(os.listdir(proc / "fd")) <= {"0", "1", "2"}
        limits = (proc / "limits").read_text()
        for name, value in (
            ("Max address space", SMALL.memory_bytes),
            ("Max cpu time", SMALL.cpu_s),
            ("Max processes", 0),
            ("Max open files", 0),
        ):
            assert re.search(f"{name} +{value} ", limits)


def test_they_wait_without_work(spares: Spares) -> None:
    waiting = [psutil.Process(pid) for pid in pids(spares)]

    def cpu_s() -> list[float]:
        return [sum(one.cpu_times()[:2]) for one in waiting]

    def are_at_rest() -> bool:
        before = cpu_s()
        time.sleep(0.2)
        # one that got no processor meanwhile spends nothing either, but does not sleep
        sleep = all(one.status() == psutil.STATUS_SLEEPING for one in waiting)
        return sleep and cpu_s() == before

    wait_for(are_at_rest)


def test_close_ends_them_and_starts_no_other(spares: Spares) -> None:
    before = pids(spares)
    spares.close()
    spares.refill()
    assert pids(spares) == []
    assert not any(map(psutil.pid_exists, before))
    assert Decoding(PICTURE, 64, None, spares).run()


def test_a_copy_of_the_process_leaves_them_to_the_original(spares: Spares) -> None:
    if (copy := os.fork()) == 0:
        os._exit(len(pids(spares)))
    assert os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]) == 0
    assert Decoding(PICTURE, 64, None, spares).run()
    assert len(pids(spares)) == N - 1


PARENT = """
import signal, sys
from edge.images import Spares
spares = Spares(2)
spares.refill()
print(*(child.pid for child in spares._children), flush=True)
signal.pause()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_they_do_not_outlive_their_parent(how: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        left = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        parent.send_signal(how)
    assert len(left) == 2
    _, alive = psutil.wait_procs(left, timeout=60)
    assert all(one.status() == psutil.STATUS_ZOMBIE for one in alive)
