"""A failure counts, unless the machine stood still meanwhile; then it has to pass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# The process stands still like one on a machine without processors.
TEST = """
import os, subprocess, time
from pathlib import Path

def test_one():
    n_before = len(list(Path().glob("run.*")))
    Path(f"run.{n_before}").touch()
    if STALLS:
        still = "kill -STOP $PPID; sleep 1.5; kill -CONT $PPID"
        subprocess.Popen(["sh", "-c", still]).wait()
        time.sleep(0.3)
    assert n_before >= FAILURES

def test_two():
    pass
"""


@pytest.mark.parametrize(
    ("stalls", "n_failures", "ended", "n_runs"),
    [
        (True, 1, "2 passed, 1 rerun", 2),
        (True, 2, "1 failed, 1 passed, 1 rerun", 2),
        (True, 0, "2 passed", 1),
        (False, 1, "1 failed, 1 passed", 1),
    ],
)
def test_only_what_failed_in_a_stall_is_repeated(
    tmp_path: Path, stalls: bool, n_failures: int, ended: str, n_runs: int
) -> None:
    source = TEST.replace("STALLS", str(stalls)).replace("FAILURES", str(n_failures))
    (tmp_path / "test_it.py").write_text(source)
    root = str(Path(__file__).parents[1])
    command = [sys.executable, "-m", "pytest", "-p", "tests.stalls", "-rR", "."]
    run = subprocess.run(
        [*command, "-p", "no:cacheprovider", "--rootdir", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert f"{ended} in" in run.stdout, run.stdout + run.stderr
    assert len(list(tmp_path.glob("run.*"))) == n_runs
    assert ("the machine stood still" in run.stdout) == stalls
