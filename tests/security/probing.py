"""What a server does before it says that it lives, seen from a process of its own.

`python probing.py URL PID` asks for /health again and again until its input ends, and
prints a line of JSON: pairs of the seconds that passed and of the CPU seconds that
process PID spent meanwhile. The latter depend little on how busy the machine is.
"""

from __future__ import annotations

import http.client
import json
import select
import socket
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import psutil

PAUSE_S = 0.01
LONGEST_WAIT_S = 60.0
LOOK_S = 0.25
LATE_S = 1.0  # a look that comes later says more of this process than of the server


class Prober:
    """Asks `url` while it is entered; then `seconds` has the time of each question, and
    `cpu_s` the CPU seconds of the server, process `pid`, before each answer."""

    def __init__(self, url: str, pid: int) -> None:
        self._command = [sys.executable, __file__, url, str(pid)]
        self.seconds: list[float] = []
        self.cpu_s: list[float] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout
        assert self._process.stdout.readline() == b"begun\n"
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        told, _ = self._process.communicate(timeout=90)
        for seconds, cpu_s in json.loads(told):
            self.seconds.append(seconds)
            self.cpu_s.append(cpu_s)

    def __str__(self) -> str:
        times = sorted(self.seconds)
        p50, p99 = (times[int(len(times) * part)] for part in (0.5, 0.99))
        return (
            f"/health asked {len(times)} times: median {1000 * p50:.1f} ms, "
            f"P99 {1000 * p99:.0f} ms, longest {1000 * times[-1]:.0f} ms; "
            f"CPU at most {1000 * max(self.cpu_s):.0f} ms"
        )


def rss_mb(pid: int) -> float:
    """Resident memory of a process in megabytes."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has spent, with all its threads."""
    return sum(psutil.Process(pid).cpu_times()[:2])


def _cpu_s_until_readable(answer: socket.socket, pid: int) -> float:
    """CPU seconds of a process before it answers, without those during which this
    process stood still: the answer may have been there."""
    spent_s, before_s, looked_at = 0.0, cpu_s(pid), time.monotonic()
    give_up = looked_at + LONGEST_WAIT_S
    is_there = False
    while not is_there:
        assert looked_at < give_up, "no answer"
        is_there = bool(select.select([answer], [], [], LOOK_S)[0])
        now, now_s = time.monotonic(), cpu_s(pid)
        if now - looked_at < LATE_S:
            spent_s += now_s - before_s
        before_s, looked_at = now_s, now
    return spent_s


def _probe(url: str, pid: int) -> list[tuple[float, float]]:
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    address = urlsplit(url).netloc
    told: list[tuple[float, float]] = []
    while not over.is_set() or not told:
        began = time.monotonic()
        connection = http.client.HTTPConnection(address, timeout=LONGEST_WAIT_S)
        connection.request("GET", "/health")
        spent_s = _cpu_s_until_readable(connection.sock, pid)
        assert connection.getresponse().status == 200
        connection.close()
        told.append((time.monotonic() - began, spent_s))
        if len(told) == 1:
            print("begun", flush=True)
        time.sleep(PAUSE_S)
    return told


if __name__ == "__main__":
    print(json.dumps(_probe(sys.argv[1], int(sys.argv[2]))))
