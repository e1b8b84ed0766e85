"""Folders of files and batches."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.jobs.jobs_harness import caller
from ui.batch.folders import BEGUN_S, Folders


def test_what_a_process_that_died_has_begun_is_deleted(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    whole = folders.make("file-", caller("me"))
    for name, age_s in (("file-begun", 0), ("file-left", BEGUN_S + 1)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "content").write_bytes(b"half")
        at = time.time() - age_s
        os.utime(tmp_path / name, (at, at))
    assert [folder.id for folder in folders.all("file-")] == [whole.id]
    assert not (tmp_path / "file-left").exists()
    assert (tmp_path / "file-begun").exists()
