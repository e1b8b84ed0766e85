"""Environments of client programs: one folder each, with pinned packages, kept in the
user's cache.

`environments/NAME` holds what an environment is made of: `requirements.txt` (a venv) or
`package.json` (an npm project), and the versions of all other packages. The registries
are those that pip and npm are configured with.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEFINITIONS = Path(__file__).with_name("environments")
CACHE = Path.home() / ".cache/edge-vl/clients"
STAMP = "edge-vl-inputs"  # written when the installation is complete


def bring(name: str) -> Path:
    """The folder of an installed environment: a venv, or one with node_modules.

    Raises CalledProcessError with the output when a package cannot be installed.
    """
    definition, folder = DEFINITIONS / name, CACHE / name
    inputs = fingerprint(definition)
    with one_at_a_time(name):
        stamp = folder / STAMP
        if not (stamp.exists() and stamp.read_text() == inputs):
            shutil.rmtree(folder, ignore_errors=True)
            if is_npm(name):
                _install_npm(definition, folder)
            else:
                _install_venv(definition, folder)
            stamp.write_text(inputs)
    return folder


def is_npm(name: str) -> bool:
    return (DEFINITIONS / name / "package.json").exists()


def fingerprint(definition: Path) -> str:
    """A hash of the definition, and of the Python that its venv would use."""
    hashed = hashlib.sha256(f"{sys.version_info[:2]}".encode())
    for path in sorted(definition.iterdir()):
        hashed.update(path.name.encode() + path.read_bytes())
    return hashed.hexdigest()


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Nobody else brings the environment meanwhile."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install_venv(definition: Path, folder: Path) -> None:
    # Not the venv of this project: its packages must not be found.
    python = os.path.realpath(sys.executable)
    _run(python, "-m", "venv", folder)
    pip = (folder / "bin/python", "-m", "pip", "install", "-q", "--no-cache-dir")
    constraints = definition / "constraints.txt"
    _run(*pip, "-c", constraints, "-r", definition / "requirements.txt")


def _install_npm(definition: Path, folder: Path) -> None:
    shutil.copytree(definition, folder)
    _run("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder)


def _run(*command: object) -> None:
    words = ["nice", "-n", "15", *map(str, command)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-4000:], file=sys.stderr)
        done.check_returncode()
