"""`python -m tests.compose [PYTEST OPTION...]`: these tests, with a real Docker engine.

If none answers, root gets Debian's, in namespaces of its own: its networks, firewall
rules, mounts and processes are invisible to this machine, and end with the tests.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL

from tests.compose.engine import DATA_ROOT, PLUGINS
from tests.conftest import wait_for

BRING_ENGINE = Path(__file__).with_name("bring_engine.sh")
CGROUPS = Path("/sys/fs/cgroup")
NEEDS = (
    "These tests need a Docker engine with Compose, or root on Debian to bring them."
)
# The tests start when the network has come.
START = (
    "until ip link show tap0 >/dev/null 2>&1; do sleep 0.1; done; "
    'ip link set lo up && mount -t tmpfs tmpfs /run && exec "$@"'
)


def answers() -> bool:
    """Whether a Docker engine with Compose can be used as it is."""
    try:
        for command in (["docker", "info"], ["docker", "compose", "version"]):
            subprocess.run(command, check=True, capture_output=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def run_in_namespaces(command: list[str]) -> int:
    """Runs `command` in new network, mount and process namespaces; when it ends, all
    its processes, mounts and networks end."""
    unshare = ["unshare", "--net", "--mount", "--mount-proc", "--pid", "--fork"]
    inside = [*unshare, "--kill-child", "sh", "-c", START, "sh", *command]
    before = engine_cgroups()
    with tempfile.TemporaryDirectory(prefix="edge-vl-docker-", dir="/var/tmp") as data:
        outer = subprocess.Popen(inside, env={**os.environ, DATA_ROOT: data})
        # unshare ignores SIGTERM; killed, it takes all inside with it.
        signal.signal(signal.SIGTERM, lambda *_: outer.kill())
        try:
            pid = only_child(outer)
            # Reaches out for the namespace like an ordinary program of this machine.
            network = ["slirp4netns", "--configure", "--mtu=65520", pid, "tap0"]
            with subprocess.Popen(network, stdout=DEVNULL, stderr=DEVNULL) as slirp:
                code = outer.wait()
                slirp.terminate()
        finally:
            outer.kill()
            outer.wait()
    for left in engine_cgroups() - before:
        for folder in sorted({left, *left.glob("**/")}, reverse=True):
            wait_for(lambda folder=folder: remove(folder), 10)
    return code


def remove(folder: Path) -> bool:
    """Whether the cgroup is gone: not before its last process is."""
    with suppress(OSError):
        folder.rmdir()
    return not folder.exists()


def only_child(process: subprocess.Popen[bytes]) -> str:
    """The process id of its child, as soon as it has one."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        if found := children.read_text().split():
            return found[0]
        time.sleep(0.01)
    sys.exit("unshare ended: these tests need root, and a kernel with namespaces.")


def engine_cgroups() -> set[Path]:
    return set(CGROUPS.glob("docker")) | set(CGROUPS.glob("*/docker"))


def main() -> int:
    command = [sys.executable, "-m", "pytest", "tests/compose", "--timeout", "900"]
    command += ["-m", "compose and not slow", *sys.argv[1:]]
    if answers():
        return subprocess.run(command).returncode
    if os.geteuid() or not shutil.which("apt-get"):
        print(NEEDS, file=sys.stderr)
        return 1
    subprocess.run([BRING_ENGINE, PLUGINS], check=True)
    return run_in_namespaces(command)


if __name__ == "__main__":
    sys.exit(main())
