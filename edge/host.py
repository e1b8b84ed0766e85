"""The machine as this process may use it: what the cgroup grants, not what is built in.

`os.cpu_count()` and psutil show the whole machine even inside a container with a
quota; eight threads on a quota of four cores ran up to 45 times slower than four.
"""

from __future__ import annotations

import os
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Cores this process may keep busy: CPU affinity, capped by the cgroup's quota.

    A fractional quota is rounded down, because one thread too many costs more than
    one too few.
    """
    allowed = len(os.sched_getaffinity(0))
    quotas = [quota for folder in _own_cgroups() if (quota := _quota(folder))]
    return max(1, int(min([allowed, *quotas])))


def usable_memory_bytes() -> int:
    """Memory this process may use: the machine's, capped by the cgroup's limit."""
    limits = [limit for folder in _own_cgroups() if (limit := _memory_limit(folder))]
    return min([psutil.virtual_memory().total, *limits])


def _own_cgroups(membership: Path = Path("/proc/self/cgroup")) -> list[Path]:
    """Our cgroup v2 folder and its parents, innermost first; inside a container the
    path does not exist and only the root, which is then our own, is left."""
    if not membership.is_file():
        return []
    path = "/"
    for line in membership.read_text().splitlines():
        hierarchy, _, name = line.split(":", 2)
        if hierarchy == "0":
            path = name
    folder = CGROUP / path.lstrip("/")
    return [f for f in (folder, *folder.parents) if f.is_relative_to(CGROUP)]


def _quota(folder: Path) -> float | None:
    """Cores granted by `cpu.max` (v2) or `cpu.cfs_quota_us` (v1); None = unlimited."""
    if (v2 := folder / "cpu.max").is_file():
        quota, period = v2.read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    v1 = folder / "cpu" / "cpu.cfs_quota_us"
    if v1.is_file() and (quota_us := int(v1.read_text())) > 0:
        return quota_us / int(v1.with_name("cpu.cfs_period_us").read_text())
    return None


def _memory_limit(folder: Path) -> int | None:
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        if (file := folder / name).is_file() and (
            text := file.read_text().strip()
        ) != "max":
            return int(text)
    return None
