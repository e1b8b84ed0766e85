"""Paths of the set-up, and how it runs a command."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin/python"
CONSTRAINTS = ROOT / "constraints.txt"
PIP = (PYTHON, "-m", "pip", "--disable-pip-version-check")


class SetupError(Exception):
    """Set-up cannot continue; the text says what to do next."""


def say(text: str) -> None:
    print(f"[setup] {text}", flush=True)


def run(
    *command: object,
    failure: str,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] = lambda line: None,
) -> None:
    """Run a command without output; if it fails, show its last 40 lines and stop."""
    tail: deque[str] = deque(maxlen=40)
    words = [str(word) for word in command]
    with subprocess.Popen(
        words, env=env, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, errors="replace"
    ) as process:
        for line in process.stdout or ():
            tail.append(line)
            on_line(line)
    if process.returncode:
        print("\n", *tail, sep="", end="", file=sys.stderr)
        raise SetupError(failure)


def site_packages() -> Path:
    """The folder of the .venv's packages. Raises SetupError when there is none."""
    for folder in VENV.glob("lib/python3.*/site-packages"):
        return folder
    raise SetupError(f"{VENV} is damaged: delete that folder and try again.")
