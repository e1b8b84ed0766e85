"""Samples what a server holds during a soak: memory, open files, threads, disk, keys.

Whatever of these grows without end stops the server one day.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from benchmarks.load.sampler import Sampler
from edge import host
from edge.redis_clients import UNREACHABLE, sync_client

INTERVAL_S: Final = 5.0
MB: Final = 1e6

Series = dict[str, list[tuple[float, float]]]


class Holdings(Sampler):
    """Adds samples of the process `pid`, its descendants and their folders to `series`
    while the block runs. `state` is the folder of the files that the server keeps; the
    addresses of its two Redis servers are read there. None: only processes.
    """

    def __init__(
        self, pid: int, state: Path | None, began: float, series: Series
    ) -> None:
        super().__init__(INTERVAL_S)
        self._pid, self._state = pid, state
        self._began = began  # on the clock of time.time()
        self._series = series
        self._redis = dict(_redis_clients(state)) if state else {}

    def sample(self) -> None:
        at = round(time.time() - self._began, 1)
        for name, value in self._values():
            self._series.setdefault(name, []).append((at, value))

    def close(self) -> None:
        for client in self._redis.values():
            client.close()

    def _values(self) -> Iterator[tuple[str, float]]:
        processes = host.held_by(self._pid)
        sums: Counter[str] = Counter()
        for one in processes:
            sums[f"memory of {one.name}"] += one.anonymous_bytes
            sums["memory of mapped files"] += one.shared_bytes
            sums[f"open files of {one.name}"] += one.n_files
            sums[f"threads of {one.name}"] += one.n_threads
        sums["processes"] = len(processes)
        for name, total in sorted(sums.items()):
            yield name, total / MB if name.startswith("memory") else total
        if self._state:
            yield "disk of state", _disk_bytes(self._state) / MB
        # A child of "ui" has its name until it is another program, and any folder.
        names = {one.name: one.folder for one in processes if one.folder.name == "ui"}
        if "ui" in names:
            yield "disk of temporary files", _disk_bytes(names["ui"].parent) / MB
        for name, client in self._redis.items():
            with suppress(*UNREACHABLE):
                yield from _redis_values(name, client)


def _redis_clients(state: Path) -> Iterator[tuple[str, Any]]:
    for name in ("broker", "cache"):
        url = state / name / "url"
        if url.is_file():
            yield name, sync_client(url.read_text())


def _redis_values(name: str, client: Any) -> Iterator[tuple[str, float]]:
    yield f"memory in {name}", client.info("memory")["used_memory"] / MB
    yield f"connections to {name}", client.info("clients")["connected_clients"]
    keys = client.info("keyspace").get("db0", {"keys": 0, "expires": 0})
    yield f"keys without expiry in {name}", keys["keys"] - keys["expires"]
    names = client.scan_iter(count=1000)
    kinds = Counter(b":".join(key.split(b":")[:2]).decode() for key in names)
    for kind, n in sorted(kinds.items()):
        yield f"keys {kind}", n


def _disk_bytes(folder: Path) -> int:
    """Blocks that the files in `folder` take on disk; files may vanish meanwhile."""
    n_blocks = 0
    for parent, folders, files in os.walk(folder):  # passes over what has gone
        for name in (*folders, *files):
            with suppress(OSError):
                n_blocks += os.lstat(os.path.join(parent, name)).st_blocks
    return 512 * n_blocks
