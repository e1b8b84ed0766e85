"""Root gives up its rights for good, or says why it cannot."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from edge.errors import SetupError
from edge.settings import Settings
from edge.up import account
from tests.conftest import cannot

ROOT = Path(__file__).parents[2]
is_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to leave")

CHANGE = """
import os, sys
from edge.up.account import leave_root
from edge.settings import Settings
settings, said = leave_root(Settings(), sys.argv[1])
print(said, os.getresuid(), os.getresgid(), os.environ["HOME"], settings.data_dir)
try:
    os.setuid(0)
except PermissionError:
    print("for good")
"""


@is_root
def test_root_changes_to_the_named_account() -> None:
    for python in (
        sys.executable,
        "/usr/bin/python3",
    ):  # the first may be closed to others
        done = subprocess.run(
            [python, "-c", CHANGE, "daemon"], cwd=ROOT, capture_output=True, text=True
        )
        if "cannot read" not in done.stderr:
            break
    else:
        cannot("No Python here can be read by every account.")
    who = pwd.getpwnam("daemon")
    uids, gids = (f"({n}, {n}, {n})" for n in (who.pw_uid, who.pw_gid))
    data_dir = Path(who.pw_dir, ".local/share/edge-vl")
    said = f"Running as daemon, no longer as root. {uids} {gids} {who.pw_dir}"
    assert done.stdout == f"{said} {data_dir}\nfor good\n"


@is_root
def test_without_an_account_root_is_warned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(account, "ACCOUNT", "no-such-account")
    settings, said = account.leave_root(Settings(), None)
    assert settings == Settings()
    assert "Running as root" in said
    assert "useradd" in said


@is_root
def test_a_missing_account_is_named() -> None:
    with pytest.raises(SetupError, match="no account 'no-such-account'"):
        account.leave_root(Settings(), "no-such-account")


@is_root
def test_root_may_stay_root() -> None:
    settings, said = account.leave_root(Settings(), "root")
    assert (settings, said) == (Settings(), "Running as root, as you asked.")


def test_other_accounts_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    assert account.leave_root(Settings(), None) == (Settings(), "")
    assert account.leave_root(Settings(), pwd.getpwuid(1).pw_name)[1] == ""
    with pytest.raises(SetupError, match="Only root"):
        account.leave_root(Settings(), "root")
