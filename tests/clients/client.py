"""A client program: a process of its environment, in a folder with pictures."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

LONGEST_S = 240


def environ_of(environment: Path, folder: Path) -> dict[str, str]:
    """The variables of a client in `folder`: nothing of this machine's user, no proxy,
    and no report of its use to anybody."""
    modules = environment / "node_modules"
    binaries = modules / ".bin" if modules.exists() else environment / "bin"
    return {
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "HOME": str(folder),
        "NO_PROXY": "127.0.0.1,localhost",
        "PYTHONWARNINGS": "ignore",
        **OFFLINE,
    }


def run(
    environment: Path, folder: Path, *command: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Runs a command of an environment in `folder`."""
    modules = environment / "node_modules"
    if modules.exists() and not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(modules)
    return subprocess.run(
        command,
        cwd=folder,
        env=environ_of(environment, folder) | settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST_S,
    )


# What the clients' documents name for working without the internet.
OFFLINE = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "PROMPTFOO_DISABLE_TELEMETRY": "1",
    "PROMPTFOO_DISABLE_UPDATE": "1",
}
