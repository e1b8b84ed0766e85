"""What is written aside: kept while its process lives, and no longer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from socket import gethostname

import pytest

from edge.unfinished import PREFIX, finish, unfinished


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    with unfinished(tmp_path / "models") as outer, unfinished(outer) as aside:
        (aside / "file").write_text("whole")
        assert not (tmp_path / "models/file").exists()
        finish(aside / "file", tmp_path / "models/file")
    assert [one.name for one in (tmp_path / "models").iterdir()] == ["file"]


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from edge.unfinished import unfinished\n"
        f"with unfinished(Path({str(tmp_path)!r})) as aside:\n"
        "    (aside / 'large').write_text('half')\n"
        "    print(aside, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        theirs = Path(process.stdout.readline().strip())
        with unfinished(tmp_path) as mine, unfinished(tmp_path) as other:
            assert {*tmp_path.iterdir()} == {theirs, mine, other}
        process.kill()
    assert (theirs / "large").exists()
    with unfinished(tmp_path) as mine:
        assert [*tmp_path.iterdir()] == [mine]
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("host", ["another-host", f"{gethostname()}-gpu"])
def test_another_machine_may_be_writing(tmp_path: Path, host: str) -> None:
    """Its locks are not seen here."""
    theirs = tmp_path / f"{PREFIX}{host}-1"
    theirs.mkdir()
    (theirs / "half").touch()
    with unfinished(tmp_path):
        assert theirs.exists()
    for path in (theirs / "half", theirs):
        os.utime(path, (0, 0))
    with unfinished(tmp_path):
        assert not theirs.exists()
