"""Watches a server beside the load: processor, memory, queue."""

from __future__ import annotations

import re
import time
import urllib.request
from typing import Final

from benchmarks.load.sampler import Sampler
from benchmarks.record import ResourceSample
from edge import host

INTERVAL_S: Final = 0.5
# The number of waiting requests, as Edge-VL and llama-server export it to Prometheus.
QUEUED: Final = re.compile(
    r"^(?:edge_jobs_waiting|llamacpp:requests_deferred) (\S+)$", re.MULTILINE
)


class Watch(Sampler):
    """Samples the process `pid`, its descendants, and the /metrics of the server, twice
    a second while the block runs. Without a `pid`, only the queue is sampled."""

    def __init__(self, pid: int | None, url: str, began: float) -> None:
        super().__init__(INTERVAL_S)
        self._pid = pid
        self._metrics = f"{url}/metrics"
        self._began = began  # on the clock of time.time()
        self._samples: list[ResourceSample] = []
        self._last_at, self._last_use = time.monotonic(), self._use()

    @property
    def samples(self) -> list[ResourceSample]:
        return list(self._samples)

    def sample(self) -> None:
        now, use, last = time.monotonic(), self._use(), self._last_use
        cpu_s = sum(
            max(0.0, one.cpu_s - last[name].cpu_s)
            for name, one in use.items()
            if name in last
        )
        self._samples.append(
            ResourceSample(
                at_s=time.time() - self._began,
                cpu_percent=100 * cpu_s / (now - self._last_at),
                resident_bytes={n: one.resident_bytes for n, one in use.items()},
                queued=self._queued(),
            )
        )
        self._last_at, self._last_use = now, use

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
