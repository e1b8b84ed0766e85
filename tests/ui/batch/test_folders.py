"""Folders of files and batches."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.jobs.jobs_harness import caller
from ui.batch.folders import ABOUT, BEGUN_S, Folders


def test_what_a_process_that_died_has_begun_is_deleted(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    whole = folders.make("file-", caller("me"))
    old_s = BEGUN_S + 1
    for name, age_s in (("begun", 0), ("left", old_s), ("unreadable", old_s)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "content").write_bytes(b"half")
        if name == "unreadable":
            (tmp_path / name / ABOUT).write_text("{")
        at = time.time() - age_s
        os.utime(tmp_path / name, (at, at))
    assert [folder.id for folder in folders.all("")] == [whole.id]
    there = {path.name for path in tmp_path.iterdir()}
    assert there == {whole.id, "begun", "unreadable"}
