"""The comparison as a command, over the tiny model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.peers.results import Result

ROOT = Path(__file__).parents[3]


@pytest.mark.stack
@pytest.mark.model
@pytest.mark.redis
def test_ours_is_started_measured_and_ended(tmp_path: Path) -> None:
    out, data = tmp_path / "out", tmp_path / "data"
    environ = os.environ | {"EDGE_MODEL": "tiny", "EDGE_DATA_DIR": str(data)}
    environ |= {"EDGE_THREADS": "1"}
    words = ["run", str(tmp_path), "--peer", "ours", "--peer", "vLLM-CPU"]
    words += ["--part", "known", "--part", "extraction", "--out", str(out)]
    program = [sys.executable, "-m", "benchmarks.peers", *words]
    ended = subprocess.run(
        program, cwd=ROOT, env=environ, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "vLLM-CPU: not installed: " in ended.stdout
    assert "| ours |" in ended.stdout
    result = Result.load(out / "ours.json")
    assert set(result.parts) == {"known", "extraction"}
    for part in result.parts.values():
        assert {sample.outcome for sample in part.samples} == {"answered"}
        assert part.peak_bytes > 100e6
    assert result.fingerprint["server"]["command"][:2] == ["edge", "up"]
    assert list((data / "state").iterdir()) == []
