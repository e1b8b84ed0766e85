"""What the containers really are: user, rights, disk, memory and processes.

All is read inside the containers, or from the kernel: what the engine was told is not
what it does.
"""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

from tests.compose.stack import Stack

USERS = {"broker": 999, "cache": 999, "worker": 10001, "ui": 10001, "nginx": 101}
MIB = 1 << 20
MEMORY = {"broker": 1024, "cache": 768, "worker": 6144, "ui": 1536, "nginx": 640}
SERVICES = pytest.mark.parametrize("service", USERS)


def status(stack: Stack, service: str) -> dict[str, str]:
    """/proc/PID/status of the service's own process (1 is docker-init)."""
    lines = stack.shell(service, "cat /proc/7/status || cat /proc/1/status")
    return dict(line.split(":\t", 1) for line in lines.splitlines() if ":\t" in line)


@SERVICES
def test_a_service_is_a_user_without_rights(stack: Stack, service: str) -> None:
    found = status(stack, service)
    assert {int(one) for one in found["Uid"].split()} == {USERS[service]}
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(found[kind], 16) == 0
    assert found["NoNewPrivs"].strip() == "1"
    assert found["Seccomp"].strip() == "2"  # the engine's filter


@SERVICES
def test_a_service_cannot_change_its_files(stack: Stack, service: str) -> None:
    tried = "for d in / /etc /usr /opt /srv /var /home; do touch $d/x && echo $d; done"
    said = stack.shell(service, f"({tried}) 2>/dev/null; true")
    assert said == ""
    assert "noexec" in stack.shell(service, "grep ' /tmp ' /proc/mounts")


@SERVICES
def test_memory_and_processes_are_limited_by_the_kernel(
    stack: Stack, service: str
) -> None:
    def limit(version_1: str, version_2: str) -> int:
        paths = f"/sys/fs/cgroup/{version_1} /sys/fs/cgroup/{version_2}"
        found = stack.shell(service, f"cat {paths} 2>/dev/null; true")
        return int(found.split()[0])

    memory = limit("memory/memory.limit_in_bytes", "memory.max")
    assert memory == MEMORY[service] * MIB
    assert limit("pids/pids.max", "pids.max") == 256
    bomb = "for i in $(seq 300); do sleep 9 & done; ls -d /proc/[0-9]* | wc -l"
    with suppress(AssertionError):  # the shell cannot start the last command
        assert int(stack.shell(service, f"({bomb}) 2>/dev/null")) <= 256


def test_no_container_is_privileged_or_sees_the_engine(stack: Stack) -> None:
    for service in USERS:
        found = stack.inspect(service)
        assert not found["HostConfig"]["Privileged"]
        assert found["HostConfig"]["PidMode"] == ""
        assert "docker.sock" not in json.dumps(found["Mounts"])


@pytest.mark.parametrize("service", ["ui", "worker", "nginx"])
def test_logs_are_bounded(stack: Stack, service: str) -> None:
    log = stack.inspect(service)["HostConfig"]["LogConfig"]
    assert log["Config"] == {"max-size": "10m", "max-file": "3"}


@pytest.mark.parametrize("service", ["broker", "ui"])
def test_services_without_a_way_out_have_none(stack: Stack, service: str) -> None:
    networks = stack.inspect(service)["NetworkSettings"]["Networks"]
    for name in networks:
        [network] = json.loads(stack.engine.run("network", "inspect", name))
        assert network["Internal"]
