"""A command that fails says why in one sentence, without a traceback."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.cli.errors import clear_errors


def test_an_error_of_the_disk_names_the_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/srv/keys.json")
    with pytest.raises(SystemExit) as ended, clear_errors():
        raise full
    assert ended.value.code == 1
    said = "edge: /srv/keys.json: No space left on device.\n"
    assert capsys.readouterr().err == said


def test_a_reader_that_has_read_enough_ends_a_command_quietly(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from edge.cli.app import app; app()"]
    environ = {"EDGE_DATA_DIR": str(tmp_path), "PYTHONUNBUFFERED": ""}
    reader, writer = os.pipe()
    os.close(reader)  # as `head` does
    ended = subprocess.run(
        [*command, "models", "path", "tiny"],
        stdout=writer,
        stderr=subprocess.PIPE,
        env=os.environ | environ,
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, b"")
