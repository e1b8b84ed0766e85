"""The unit of systemd: valid, and as closed as the guide says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.conftest import GUIDE

UNIT = Path(__file__).parents[2] / "docs/edge-vl.service"


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with commands that are here."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd is not installed, and set-up does not bring it")
    text = UNIT.read_text()
    assert "/opt/edge-vl/.venv/bin/edge up" in text
    one = tmp_path / UNIT.name
    edge = Path(sys.executable).with_name("edge")
    one.write_text(text.replace("/opt/edge-vl/.venv/bin/edge", str(edge)))
    return one


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_systemd_accepts_every_line(unit: Path) -> None:
    done = analyze("verify", str(unit))
    assert (done.returncode, done.stderr) == (0, "")


def test_it_is_as_closed_as_the_guide_says(unit: Path) -> None:
    done = analyze("security", "--offline=true", "--threshold=20", str(unit))
    assert done.returncode == 0, done.stdout
    [rated] = re.findall(r"exposure level for .*: ([0-9.]+) ", done.stdout)
    assert f"rates it {rated} of 10" in GUIDE.replace("\n", " ")
