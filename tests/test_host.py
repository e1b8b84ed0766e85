"""Cores and memory within cgroup limits, read from small trees of files, and the
resource use of processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from edge import host
from edge.errors import SetupError
from edge.host import (
    available_memory_bytes,
    held_by,
    listener,
    proportional_bytes,
    usable_cores,
    usable_memory_bytes,
    use_of,
)
from tests.conftest import wait_for

X86 = """\
processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8360Y CPU @ 2.40GHz
flags\t\t: fpu sse2 avx2 fma f16c avx512f avx512_vnni hypervisor
bugs\t\t: spectre_v1

processor\t: 1
model name\t: another
flags\t\t: fpu amx_int8
"""
ARM = """\
processor\t: 0
Features\t: fp asimd asimdhp asimddp i8mm bf16 sve
CPU implementer\t: 0x41
CPU part\t: 0xd40
"""

GIB = 1 << 30
Tree = Callable[..., None]


@pytest.fixture
def tree(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tree:
    """Writes a cgroup hierarchy and the membership file of this process."""
    root, membership = tmp_path / "cgroup", tmp_path / "membership"
    root.mkdir()
    monkeypatch.setattr(host, "CGROUP", root)
    monkeypatch.setattr(host._own_cgroups, "__defaults__", (membership,))

    def lay_out(files: dict[str, str], member: str | None = "0::/") -> None:
        for name, text in files.items():
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text + "\n")
        if member is not None:
            membership.write_text(member + "\n")

    return lay_out


@pytest.fixture
def many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 cores, so that quotas take effect on any machine."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(64)))


@pytest.fixture
def one_core() -> Iterator[None]:
    """This thread, bound to one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("many_cores")
@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("400000 100000", 4),
        ("350000 100000", 3),  # rounded down
        ("399999 100000", 3),
        ("50000 100000", 1),  # but at least 1
        ("1000 100000", 1),
        ("100000 50000", 2),  # another period
        ("max 100000", 64),
        ("9900000 100000", 64),  # more than exist
    ],
)
def test_a_quota_caps_the_cores(tree: Tree, quota: str, cores: int) -> None:
    tree({"cpu.max": quota})
    assert usable_cores() == cores


@pytest.mark.usefixtures("many_cores")
@pytest.mark.parametrize(
    ("outer", "inner", "cores"),
    [
        ("200000 100000", "max 100000", 2),
        ("max 100000", "200000 100000", 2),
        ("800000 100000", "300000 100000", 3),
        ("300000 100000", "800000 100000", 3),
    ],
)
def test_the_quota_of_a_parent_counts_too(
    tree: Tree, outer: str, inner: str, cores: int
) -> None:
    files = {"slice/cpu.max": outer, "slice/app.service/cpu.max": inner}
    tree(files, "0::/slice/app.service")
    assert usable_cores() == cores


@pytest.mark.usefixtures("many_cores")
def test_the_quota_of_a_neighbour_does_not_count(tree: Tree) -> None:
    tree(
        {"ours/cpu.max": "300000 100000", "theirs/cpu.max": "100000 100000"}, "0::/ours"
    )
    assert usable_cores() == 3


@pytest.mark.usefixtures("many_cores")
def test_inside_a_container_the_root_counts(tree: Tree) -> None:
    tree({"cpu.max": "200000 100000"}, "0::/system.slice/docker-0123.scope")
    assert usable_cores() == 2


@pytest.mark.usefixtures("many_cores")
@pytest.mark.parametrize(
    ("quota_us", "period_us", "cores"),
    [("150000", "100000", 1), ("400000", "100000", 4), ("-1", "100000", 64)],
)
def test_a_quota_of_cgroup_v1_counts(
    tree: Tree, quota_us: str, period_us: str, cores: int
) -> None:
    files = {"cpu/cpu.cfs_quota_us": quota_us, "cpu/cpu.cfs_period_us": period_us}
    tree(files, "12:cpu,cpuacct:/docker/0123\n11:memory:/docker/0123\n0::/")
    assert usable_cores() == cores


@pytest.mark.usefixtures("one_core")
@pytest.mark.parametrize("quota", ["400000 100000", "max 100000"])
def test_affinity_caps_the_cores(tree: Tree, quota: str) -> None:
    tree({"cpu.max": quota})
    assert usable_cores() == 1


@pytest.mark.parametrize("member", ["0::/", None])
def test_without_limits_all_cores_are_usable(tree: Tree, member: str | None) -> None:
    tree({}, member)
    assert usable_cores() == len(os.sched_getaffinity(0))
    assert usable_memory_bytes() == psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("files", "member", "limit"),
    [
        ({"memory.max": str(GIB)}, "0::/", GIB),
        ({"a/memory.max": str(GIB), "memory.max": "max"}, "0::/a", GIB),
        ({"a/b/memory.max": str(2 * GIB), "a/memory.max": str(GIB)}, "0::/a/b", GIB),
        ({"memory/memory.limit_in_bytes": str(GIB)}, "9:memory:/docker/0", GIB),
    ],
    ids=["own", "inner", "parent", "old hierarchy"],
)
def test_a_limit_caps_the_memory(
    tree: Tree, files: dict[str, str], member: str, limit: int
) -> None:
    tree(files, member)
    assert usable_memory_bytes() == limit


@pytest.mark.parametrize(
    "files",
    [
        {"memory.max": "max"},
        {"memory.max": str(1 << 62)},
        {"memory/memory.limit_in_bytes": "9223372036854771712"},  # v1's "no limit"
    ],
    ids=["max", "more than there is", "old hierarchy"],
)
def test_without_a_limit_the_machines_memory_counts(
    tree: Tree, files: dict[str, str]
) -> None:
    tree(files)
    assert usable_memory_bytes() == psutil.virtual_memory().total


@pytest.mark.usefixtures("many_cores")
def test_the_own_folder_of_cgroup_v1_counts(tree: Tree) -> None:
    files = {
        "cpu/job/7/cpu.cfs_quota_us": "200000",
        "cpu/job/7/cpu.cfs_period_us": "100000",
        "memory/job/7/memory.limit_in_bytes": str(GIB),
        "memory/job/8/memory.limit_in_bytes": str(GIB // 2),
    }
    tree(files, "4:memory:/job/7\n1:cpu,cpuacct:/job/7\n0::/")
    assert usable_cores() == 2
    assert usable_memory_bytes() == GIB


@pytest.fixture
def sixteen_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 GiB free, on any machine."""
    memory = SimpleNamespace(available=16 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)


def group(folder: str, limit: str, used: int, cache: int = 0) -> dict[str, str]:
    """The files of a cgroup v2 that holds `used` bytes, of which `cache` file cache."""
    ages = f"active_file {cache // 4}\ninactive_file {cache - cache // 4}"
    stat = f"anon {used - cache}\nfile {cache}\n{ages}"
    names = {"memory.max": limit, "memory.current": str(used), "memory.stat": stat}
    return {folder + name: text for name, text in names.items()}


@pytest.mark.usefixtures("sixteen_free")
@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({}, 16 * GIB),
        (group("", "max", GIB), 16 * GIB),
        (group("", str(4 * GIB), GIB), 3 * GIB),
        (group("", str(4 * GIB), 3 * GIB, cache=2 * GIB), 3 * GIB),
        (group("", str(64 * GIB), GIB), 16 * GIB),
        (group("", str(GIB), GIB + 4096), 0),
        (
            group("", str(8 * GIB), 7 * GIB) | group("a/", str(4 * GIB), GIB),
            GIB,
        ),
        (group("", "max", 7 * GIB) | group("a/", str(4 * GIB), GIB), 3 * GIB),
        (group("b/", str(GIB), GIB), 16 * GIB),
    ],
    ids=[
        "no cgroup",
        "no limit",
        "limit",
        "cache is free",
        "more than the machine has",
        "over the limit",
        "parent is nearly full",
        "inner limit",
        "neighbour",
    ],
)
def test_memory_used_by_the_cgroup_is_not_available(
    tree: Tree, files: dict[str, str], left: int
) -> None:
    tree(files, "0::/a")
    assert available_memory_bytes() == left


@pytest.mark.usefixtures("sixteen_free")
def test_cgroup_v1_counts_the_file_cache_of_children(tree: Tree) -> None:
    files = {
        "memory.limit_in_bytes": str(4 * GIB),
        "memory.usage_in_bytes": str(3 * GIB),
        "memory.stat": f"inactive_file 0\nactive_file 0\n"
        f"total_inactive_file {GIB}\ntotal_active_file {GIB}",
    }
    tree({f"memory/{name}": text for name, text in files.items()}, "4:memory:/x")
    assert available_memory_bytes() == 3 * GIB


def test_this_machine_has_cores_and_memory() -> None:
    assert 1 <= usable_cores() <= len(os.sched_getaffinity(0))
    assert 0 < usable_memory_bytes() <= psutil.virtual_memory().total
    assert 0 < available_memory_bytes() < usable_memory_bytes()


def test_processes_are_named_by_their_script_or_module(tmp_path: Path) -> None:
    script = tmp_path / "serve.py"
    script.write_text(
        "import subprocess, sys\n"
        "held = bytearray(60_000_000)\n"
        "child = subprocess.Popen(['sleep', '30'])\n"
        "while True: sum(range(10_000))\n"
    )
    process = subprocess.Popen([sys.executable, str(script)])
    try:
        wait_for(lambda: "sleep" in use_of(process.pid))
        use = use_of(process.pid)
        assert set(use) == {"serve.py", "sleep"}
        assert use["serve.py"].resident_bytes > 60_000_000
        n_resident = sum(one.resident_bytes for one in use.values())
        assert 60_000_000 < proportional_bytes(process.pid) <= n_resident
        held = {one.name: one for one in held_by(process.pid)}
        assert held["serve.py"].anonymous_bytes > 60_000_000
        assert held["sleep"].n_threads == 1 and held["sleep"].n_files == 3
        assert held["sleep"].folder == Path.cwd()
        wait_for(lambda: use_of(process.pid)["serve.py"].cpu_s > use["serve.py"].cpu_s)
        assert use_of(process.pid)["sleep"].cpu_s < 0.1
    finally:
        for one in psutil.Process(process.pid).children():
            one.kill()
        process.kill()
        process.wait()
    assert use_of(process.pid) == {}
    assert proportional_bytes(process.pid) == 0
    assert held_by(process.pid) == []


def test_the_listening_process_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert listener(server.getsockname()[1]) == os.getpid()
        free = server.getsockname()[1]
    assert listener(free) is None


@pytest.mark.parametrize(
    ("text", "name", "features"),
    [
        (
            X86,
            "Intel(R) Xeon(R) Platinum 8360Y CPU @ 2.40GHz",
            ("avx2", "fma", "f16c", "avx512f", "avx512_vnni"),
        ),
        (
            ARM,
            "Arm 0x41 0xd40",
            ("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve"),
        ),
        ("", "unknown", ()),
    ],
)
def test_a_cpu_has_its_name_and_relevant_features(
    text: str, name: str, features: tuple[str, ...], tmp_path: Path
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(text)
    assert host.cpu(cpuinfo) == host.Cpu(name, features)


def test_a_processor_that_is_too_old_is_refused_in_a_sentence(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    for text in (X86, ARM, ""):
        cpuinfo.write_text(text)
        host.check_processor(cpuinfo)
    cpuinfo.write_text(X86.replace("avx2", ""))
    with pytest.raises(SetupError, match="no AVX2, which OpenVINO needs"):
        host.check_processor(cpuinfo)


def test_without_cpuinfo_the_cpu_is_unknown(tmp_path: Path) -> None:
    assert host.cpu(tmp_path / "none") == host.Cpu("unknown", ())
