"""`python -m ui` opens to other machines only with keys, and listens on its socket."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ui.__main__ import listener


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (["--host", "0.0.0.0"], {}),
        (["--host", "::"], {}),
        (["--uds", "ui.sock"], {"EDGE_HOST": "0.0.0.0"}),
        (
            ["--host", "0.0.0.0", "--forwarded-allow-ips", "*"],
            {"EDGE_HOST": "10.0.0.1"},
        ),
    ],
)
def test_it_does_not_start_open_to_other_machines(tmp_path: Path, words, given) -> None:
    others = {k: v for k, v in os.environ.items() if not k.startswith("EDGE_")}
    root = {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-m", "ui", *words],
        env=others | root | {"EDGE_DATA_DIR": str(tmp_path)} | given,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "there are no keys" in done.stderr
    assert "Traceback" not in done.stderr


def test_its_socket_is_for_its_owner_and_group(tmp_path: Path) -> None:
    path = tmp_path / "ui.sock"
    path.write_text("left by a process that was killed")
    before = os.umask(0)
    try:
        with listener(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            assert path.is_socket()
    finally:
        os.umask(before)
