"""Gives up root's rights before anything is started, if there is an account for it."""

from __future__ import annotations

import os
import pwd
import sys
from dataclasses import replace
from pathlib import Path

from edge.errors import SetupError
from edge.settings import Settings, adopt_account

ACCOUNT = "edge-vl"  # what root becomes by default

NO_ACCOUNT = (
    "Running as root, so a bug in any part has the rights of root. Create an account "
    f"for the next start: useradd --system --create-home {ACCOUNT}."
)


def leave_root(settings: Settings, name: str | None) -> tuple[Settings, str]:
    """Changes from root to the account `name`, or to ACCOUNT if that exists.

    The whole process changes, for good. Models and files are then in the account's
    home, unless EDGE_DATA_DIR is set. Returns the new settings and a sentence for the
    operator, which is empty if the process was not root. Raises SetupError when the
    account is missing or cannot read this program.
    """
    if os.geteuid() != 0:
        if name and name != pwd.getpwuid(os.geteuid()).pw_name:
            raise SetupError(f"Only root can change to {name}: leave out --user.")
        return settings, ""
    try:
        account = pwd.getpwnam(name or ACCOUNT)
    except KeyError:
        if name:
            raise SetupError(
                f"There is no account {name!r}. "
                f"Make it: useradd --system --create-home {name}."
            ) from None
        return settings, NO_ACCOUNT
    if account.pw_uid == 0:
        return settings, "Running as root, as you asked."
    os.initgroups(account.pw_name, account.pw_gid)
    os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    adopt_account(account.pw_name, account.pw_dir)
    for needed in (sys.executable, __file__):
        if not os.access(needed, os.R_OK):
            raise SetupError(
                f"{account.pw_name} cannot read {needed}: move this program to a "
                "folder that every account can read, or stay root with --user root."
            )
    if "data_dir" not in settings.given:
        data_dir = Path(account.pw_dir, ".local/share/edge-vl")
        settings = replace(settings, data_dir=data_dir)
    return settings, f"Running as {account.pw_name}, no longer as root."
