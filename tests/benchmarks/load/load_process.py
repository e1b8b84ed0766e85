"""The load generator in a separate process, because Locust patches its process."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.record import Sample, Stage

ROOT = Path(__file__).parents[3]
PATIENCE_S = 240  # importing Locust is slow on a busy machine


@dataclass(frozen=True)
class Output:
    """The printed lines of one run."""

    lines: list[dict[str, Any]]

    @property
    def kinds(self) -> list[str]:
        return [kind for line in self.lines for kind in line]

    @property
    def samples(self) -> list[Sample]:
        return [Sample(**line["sample"]) for line in self.lines if "sample" in line]

    @property
    def ended(self) -> list[Stage]:
        return [Stage(**line["ended"]) for line in self.lines if "ended" in line]


def start(program: str, *words: object) -> subprocess.Popen[str]:
    """Starts a Python module with its command line."""
    return subprocess.Popen(
        [sys.executable, "-m", program, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def load(url: str, *words: object) -> Output:
    """A complete run, which must succeed with an empty stderr."""
    with start("benchmarks.load.generator", "--url", url, *words) as process:
        out, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    assert not errors, errors
    return Output([json.loads(line) for line in out.splitlines()])
