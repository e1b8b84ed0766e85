"""Watches a server beside the load: processor, memory, queue."""

from __future__ import annotations

import re
import threading
import time
import urllib.request
from types import TracebackType
from typing import Final, Self

from benchmarks.record import ResourceSample
from edge import host

INTERVAL_S: Final = 0.5
# The number of waiting requests, as Edge-VL and llama-server export it to Prometheus.
QUEUED: Final = re.compile(
    r"^(?:edge_jobs_waiting|llamacpp:requests_deferred) (\S+)$", re.MULTILINE
)


class Watch:
    """Samples the process `pid`, its descendants, and the /metrics of the server, twice
    a second while the block runs. Without a `pid`, only the queue is sampled."""

    def __init__(self, pid: int | None, url: str, began: float) -> None:
        self._pid = pid
        self._metrics = f"{url}/metrics"
        self._began = began  # on the clock of time.time()
        self._samples: list[ResourceSample] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _where: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    @property
    def samples(self) -> list[ResourceSample]:
        return list(self._samples)

    def _sample(self) -> None:
        last_at, last_use = time.monotonic(), self._use()
        while not self._over.wait(INTERVAL_S):
            now, use = time.monotonic(), self._use()
            cpu_s = sum(
                max(0.0, one.cpu_s - last_use[name].cpu_s)
                for name, one in use.items()
                if name in last_use
            )
            self._samples.append(
                ResourceSample(
                    at_s=time.time() - self._began,
                    cpu_percent=100 * cpu_s / (now - last_at),
                    resident_bytes={n: one.resident_bytes for n, one in use.items()},
                    queued=self._queued(),
                )
            )
            last_at, last_use = now, use

    def _use(self) -> dict[str, host.Use]:
        return host.use_of(self._pid) if self._pid else {}

    def _queued(self) -> int | None:
        """None when the server does not export it."""
        try:
            with urllib.request.urlopen(self._metrics, timeout=1) as reply:
                found = QUEUED.search(reply.read().decode())
        except (OSError, ValueError):
            return None
        return int(float(found[1])) if found else None
