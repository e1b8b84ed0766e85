"""A failure counts, unless the machine stood still meanwhile; then it has to pass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# The process stands still like one on a machine without processors.
STALL = """
import subprocess, time
from pathlib import Path
import pytest

def stall():
    still = "kill -STOP $PPID; sleep 1.5; kill -CONT $PPID"
    subprocess.Popen(["sh", "-c", still]).wait()
    time.sleep(0.3)

def n_before(name):
    n = len(list(Path().glob(f"{name}.*")))
    Path(f"{name}.{n}").touch()
    return n
"""


def run(folder: Path, source: str) -> str:
    """What pytest says of a module with these tests."""
    (folder / "test_it.py").write_text(STALL + source)
    command = [sys.executable, "-m", "pytest", "-p", "tests.stalls", "-raR"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "--rootdir", str(folder), "."],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("act", "n_failures", "ended", "n_runs"),
    [
        ("stall", 1, "1 passed, 1 rerun", 2),
        ("stall", 2, "1 failed, 1 rerun", 2),
        ("stall", 0, "1 passed", 1),
        ("bool", 1, "1 failed", 1),
    ],
)
def test_only_what_failed_in_a_stall_is_repeated(
    tmp_path: Path, act: str, n_failures: int, ended: str, n_runs: int
) -> None:
    said = run(
        tmp_path,
        f"""
def test_one():
    n = n_before("run")
    {act}()
    assert n >= {n_failures}
""",
    )
    assert f" {ended} in" in said, said
    assert len(list(tmp_path.glob("run.*"))) == n_runs
    assert ("the machine stood still" in said) == (act == "stall")
    assert ("RERUN test_it.py::test_one" in said) == (n_runs > 1)


def test_a_fixture_that_failed_is_not_tried_for_each_test(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
@pytest.fixture(scope="module")
def broken():
    n_before("setup")
    raise ValueError

def test_one(broken):
    pass

def test_two(broken):
    pass
""",
    )
    assert " 2 errors in" in said, said
    assert len(list(tmp_path.glob("setup.*"))) == 1


def test_the_second_run_has_a_time_limit_too(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
@pytest.mark.timeout(6)
def test_one():
    if n_before("run"):
        time.sleep(60)
    stall()
    assert False
""",
    )
    assert " 1 failed, 1 rerun in" in said, said
    assert "Timeout" in said
