"""Watches a server from beside it while it is under load: processor, memory, queue."""

from __future__ import annotations

import re
import threading
import time
import urllib.request
from types import TracebackType
from typing import Final, Self

from benchmarks.record import ResourceSample
from edge import host

EVERY_S: Final = 0.5
# How many questions wait, as our server and llama-server tell Prometheus.
QUEUED: Final = re.compile(
    r"^(?:edge_jobs_waiting|llamacpp:requests_deferred) (\S+)$", re.MULTILINE
)


class Watch:
    """Looks at the process `pid`, all below it, and the server's /metrics, twice a
    second while the block runs. `pid` may be None: then only the queue is seen."""

    def __init__(self, pid: int | None, url: str, began: float) -> None:
        self._pid = pid
        self._metrics = f"{url}/metrics"
        self._began = began  # on time.time()'s clock
        self._seen: list[ResourceSample] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._cpu_s: dict[str, float] = {}

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
    def seen(self) -> list[ResourceSample]:
        return list(self._seen)

    def _look(self) -> None:
        before = time.monotonic()
        self._cpu_since(before, before)
        while not self._over.wait(EVERY_S):
            now = time.monotonic()
            cpu_percent, resident = self._cpu_since(before, now)
            before = now
            at_s = time.time() - self._began
            self._seen.append(
                ResourceSample(at_s, cpu_percent, resident, self._queued())
            )

    def _cpu_since(self, before: float, now: float) -> tuple[float, dict[str, int]]:
        uses = host.use_of(self._pid) if self._pid else {}
        spent = sum(
            max(0.0, use.cpu_s - self._cpu_s.get(name, use.cpu_s))
            for name, use in uses.items()
        )
        self._cpu_s = {name: use.cpu_s for name, use in uses.items()}
        percent = 100 * spent / (now - before) if now > before else 0.0
        return percent, {name: use.resident_bytes for name, use in uses.items()}

    def _queued(self) -> int | None:
        """None when the server does not say."""
        try:
            with urllib.request.urlopen(self._metrics, timeout=1) as reply:
                found = QUEUED.search(reply.read().decode())
        except (OSError, ValueError):
            return None
        return int(float(found[1])) if found else None
