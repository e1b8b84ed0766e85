"""The machine as this process may use it: cores and memory within affinity and cgroup,
and the resource use of other processes.

`os.cpu_count()` and psutil show the whole machine even inside a container with a
quota; eight threads on a quota of four cores ran up to 45 times slower than four.
"""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from edge.errors import SetupError

CGROUP = Path("/sys/fs/cgroup")
CPUINFO = Path("/proc/cpuinfo")
SMT = Path("/sys/devices/system/cpu/smt/active")
# llama.cpp and OpenVINO choose their kernels by these
FEATURES = (
    *("avx2", "fma", "f16c", "avx_vnni"),
    *("avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_int8", "amx_bf16"),
    *("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"),  # aarch64
)


@dataclass(frozen=True)
class Cpu:
    """The name of the first core, and which of `FEATURES` it has."""

    name: str
    features: tuple[str, ...]

    @property
    def runs_openvino(self) -> bool:
        return not {"avx2", "asimd"}.isdisjoint(self.features)


def cpu(cpuinfo: Path = CPUINFO) -> Cpu:
    """The CPU as the kernel describes it; the name is "unknown" if it does not."""
    fields: dict[str, str] = {}
    for line in cpuinfo.read_text().splitlines() if cpuinfo.is_file() else ():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    has = set((fields.get("flags") or fields.get("Features") or "").split())
    # aarch64 has numbers for implementer and part instead of a name
    part = f"{fields.get('CPU implementer', '')} {fields.get('CPU part', '')}".strip()
    name = fields.get("model name") or (f"Arm {part}" if part else "unknown")
    return Cpu(name, tuple(feature for feature in FEATURES if feature in has))


def check_processor(cpuinfo: Path = CPUINFO) -> None:
    """Raises SetupError if OpenVINO cannot compute on this processor."""
    found = cpu(cpuinfo)
    if found.name != "unknown" and not found.runs_openvino:
        raise SetupError(
            f"This processor ({found.name}) has no AVX2, which OpenVINO needs: Intel's "
            "have it since 2013, AMD's since 2015. Use another machine or, if it is "
            "installed, llama.cpp: EDGE_RUNTIME=llama and EDGE_VISION=mtmd."
        )


def usable_cores() -> int:
    """Cores that this process may use: CPU affinity, capped by the cgroup's quota.

    A fractional quota is rounded down, because one thread too many costs more than
    one too few.
    """
    allowed = len(os.sched_getaffinity(0))
    quotas = [quota for folder in _own_cgroups("cpu") if (quota := _quota(folder))]
    return max(1, int(min([allowed, *quotas])))


def has_hyperthreading() -> bool:
    """Whether two logical cores share a physical one."""
    return SMT.is_file() and SMT.read_text().strip() == "1"


def usable_memory_bytes() -> int:
    """Memory that this process may use: the machine's, capped by the cgroup's limit."""
    folders = _own_cgroups("memory")
    limits = [limit for folder in folders if (limit := _memory_limit(folder))]
    return min([psutil.virtual_memory().total, *limits])


def available_memory_bytes() -> int:
    """Memory that this process may still allocate: the machine's available memory,
    capped by what each cgroup limit leaves. File cache counts as available."""
    folders = _own_cgroups("memory")
    left = [
        limit - _memory_held(folder)
        for folder in folders
        if (limit := _memory_limit(folder))
    ]
    return max(0, min([psutil.virtual_memory().available, *left]))


def busy_fraction(within_s: float = 0.5) -> float:
    """The fraction of the machine's cores in use during `within_s`, from 0 to 1."""
    return float(psutil.cpu_percent(interval=within_s)) / 100


@dataclass(frozen=True)
class Use:
    """Resource use of processes: CPU seconds since their start, resident bytes."""

    cpu_s: float
    resident_bytes: int


def use_of(pid: int) -> dict[str, Use]:
    """Resource use of a process and its descendants, by name; equal names are added
    up. Empty if the process has ended. Shared memory counts in each process."""
    found: defaultdict[str, list[Use]] = defaultdict(list)
    for process in _family(pid):
        try:
            with process.oneshot():
                times = process.cpu_times()
                use = Use(times.user + times.system, process.memory_info().rss)
                found[_called(process)].append(use)
        except psutil.NoSuchProcess:
            continue
    return {
        name: Use(sum(u.cpu_s for u in uses), sum(u.resident_bytes for u in uses))
        for name, uses in sorted(found.items())
    }


def proportional_bytes(pid: int) -> int:
    """Memory of a process and its descendants, in which a page that several processes
    share counts once (PSS). 0 if the process has ended. Source: proc_pid_smaps(5)."""
    n_bytes = 0
    for process in _family(pid):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            n_bytes += process.memory_full_info().pss
    return n_bytes


@dataclass(frozen=True)
class Held:
    """What one process holds. `anonymous_bytes` are its share of the memory that no
    file backs, `shared_bytes` the rest of its PSS."""

    name: str
    folder: Path  # where it works
    anonymous_bytes: int
    shared_bytes: int
    n_files: int
    n_threads: int


def held_by(pid: int) -> list[Held]:
    """What a process and its descendants hold; [] if it has ended."""
    found = []
    for process in _family(pid):
        with suppress(psutil.Error, OSError, KeyError):
            text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
            rows = (row.split() for row in text.splitlines()[1:])
            kib = {row[0].removesuffix(":"): int(row[1]) for row in rows}
            anonymous = kib["Pss_Anon"] + kib["Pss_Shmem"]
            found.append(
                Held(
                    name=_called(process),
                    folder=Path(process.cwd()),
                    anonymous_bytes=anonymous << 10,
                    shared_bytes=(kib["Pss"] - anonymous) << 10,
                    n_files=process.num_fds(),
                    n_threads=process.num_threads(),
                )
            )
    return found


def listener(port: int) -> int | None:
    """The process that listens on a TCP port of this machine; if several share it,
    their common ancestor. None if there is none, or it is another user's."""
    there = {
        c.pid
        for c in psutil.net_connections("tcp")
        if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port and c.pid
    }
    for pid in sorted(there):
        above = {process.pid for process in psutil.Process(pid).parents()}
        if not above & there:
            return pid
    return None


def service_of(pid: int) -> int:
    """The `edge up` that a process is a part of, or the process itself."""
    with suppress(psutil.Error):
        for parent in psutil.Process(pid).parents():
            if _called(parent) == "edge":
                return int(parent.pid)
    return pid


def _family(pid: int) -> list[psutil.Process]:
    """A process and its descendants; [] if it has ended."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _called(process: psutil.Process) -> str:
    """Its name: `python -m worker` is worker, `python serve.py` is serve.py."""
    words = process.cmdline()
    if not words or not Path(words[0]).name.startswith("python"):
        return process.name()
    if "-m" in words[1:-1]:
        return words[words.index("-m") + 1]
    scripts = [Path(word).name for word in words[1:] if not word.startswith("-")]
    return scripts[0] if scripts and "-c" not in words else process.name()


def _own_cgroups(
    controller: str, membership: Path = Path("/proc/self/cgroup")
) -> list[Path]:
    """The cgroup folders that limit this process, each before its parents: of cgroup
    v2, and of v1's `controller`. Inside a container the path does not exist; only the
    root is left, which is then the container's own cgroup."""
    if not membership.is_file():
        return []
    own: list[Path] = []
    for line in membership.read_text().splitlines():
        hierarchy, controllers, path = line.split(":", 2)
        root = CGROUP if hierarchy == "0" else CGROUP / controller
        if hierarchy == "0" or controller in controllers.split(","):
            folder = root / path.lstrip("/")
            own += [f for f in (folder, *folder.parents) if f.is_relative_to(root)]
    return own


def _quota(folder: Path) -> float | None:
    """Cores allowed by `cpu.max` (v2) or `cpu.cfs_quota_us` (v1); None = unlimited."""
    if (v2 := folder / "cpu.max").is_file():
        quota, period = v2.read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    v1 = folder / "cpu.cfs_quota_us"
    if v1.is_file() and (quota_us := int(v1.read_text())) > 0:
        return quota_us / int(v1.with_name("cpu.cfs_period_us").read_text())
    return None


def _memory_limit(folder: Path) -> int | None:
    for name in ("memory.max", "memory.limit_in_bytes"):
        if (file := folder / name).is_file() and (
            text := file.read_text().strip()
        ) != "max":
            return int(text)
    return None


def _memory_held(folder: Path) -> int:
    """Bytes in use that the kernel cannot reclaim: all except the file cache."""
    v2, v1 = folder / "memory.current", folder / "memory.usage_in_bytes"
    used = int((v2 if v2.is_file() else v1).read_text())
    rows = (row.split() for row in (folder / "memory.stat").read_text().splitlines())
    stat = {name: int(value) for name, value in rows}
    of_subtree = "" if v2.is_file() else "total_"  # v1's other rows exclude children
    return used - sum(stat[f"{of_subtree}{age}_file"] for age in ("active", "inactive"))
