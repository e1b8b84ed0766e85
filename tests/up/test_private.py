"""Files with questions are closed to other accounts."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from edge.up import private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_existing_files_are_closed_too(tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "8080" / "broker").mkdir(parents=True)
    (state / "8080" / "broker" / "aof").write_text("a question")
    (state / "old.log").write_text("another")
    for path in (state, *state.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    private.make_private(state)
    modes = {path.name: mode(path) for path in (state, *state.rglob("*"))}
    assert modes == {
        "state": 0o700,
        "8080": 0o700,
        "broker": 0o700,
        "aof": 0o600,
        "old.log": 0o600,
    }


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    outside.chmod(0o755)
    (outside / "file").chmod(0o644)
    state = tmp_path / "state"
    state.mkdir()
    (state / "folder").symlink_to(outside)
    (state / "file").symlink_to(outside / "file")
    (state / "nowhere").symlink_to(tmp_path / "nothing")
    private.make_private(state)
    assert (mode(outside), mode(outside / "file")) == (0o755, 0o644)


def test_a_new_folder_is_made(tmp_path: Path) -> None:
    private.make_private(tmp_path / "a" / "b")
    assert mode(tmp_path / "a" / "b") == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_one_account_may_open_known_names(tmp_path: Path) -> None:
    account = private.web_account()
    assert account
    private.let_in(tmp_path, account)
    (tmp_path / "new").touch()
    assert mode(tmp_path) == 0o2710  # to open by name, not to list
    assert (tmp_path / "new").stat().st_gid == tmp_path.stat().st_gid != 0


def test_without_root_nginx_has_no_other_account(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert private.web_account() is None
