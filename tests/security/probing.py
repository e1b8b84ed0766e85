"""How long a server takes to say that it lives, measured from a process of its own.

`python probing.py URL` asks for /health again and again until its input ends, and
prints the times in seconds as one line of JSON.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

PAUSE_S = 0.01


class Prober:
    """Asks `url` while it is entered; then `seconds` has each time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.seconds: list[float] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__, self._url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
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
        self.seconds = json.loads(told)

    def __str__(self) -> str:
        times = sorted(self.seconds)
        p50, p99 = (times[int(len(times) * part)] for part in (0.5, 0.99))
        return (
            f"/health asked {len(times)} times: median {1000 * p50:.1f} ms, "
            f"P99 {1000 * p99:.0f} ms, longest {1000 * times[-1]:.0f} ms"
        )


def rss_mb(pid: int) -> float:
    """Resident memory of a process in megabytes."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


def _probe(url: str) -> list[float]:
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    address = urlsplit(url).netloc
    times: list[float] = []
    while not over.is_set() or not times:
        began = time.monotonic()
        connection = http.client.HTTPConnection(address, timeout=60)
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        connection.close()
        times.append(time.monotonic() - began)
        if len(times) == 1:
            print("begun", flush=True)
        time.sleep(PAUSE_S)
    return times


if __name__ == "__main__":
    print(json.dumps(_probe(sys.argv[1])))
