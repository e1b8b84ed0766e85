"""Root's rights: given up before anything is started, where an account is there."""

from __future__ import annotations

import os
import pwd
import sys
from dataclasses import replace
from pathlib import Path

from edge.errors import SetupError
from edge.settings import Settings, adopt_account

ACCOUNT = "edge-vl"  # what root becomes when nobody is named

NO_ACCOUNT = (
    "Running as root: a fault in any part would have the rights of root. "
    f"`useradd --system --create-home {ACCOUNT}` makes an account that the next start "
    "changes to."
)


def leave_root(settings: Settings, name: str | None) -> tuple[Settings, str]:
    """Becomes the account `name`, or ACCOUNT where that exists, when we are root.

    The whole process changes, for good. Its models and files are then the account's
    own, unless EDGE_DATA_DIR says where they are. Returns the settings that hold from
    now on, and a sentence for the operator, empty for who was not root. Raises
    SetupError when the account is missing or cannot read this program.
    """
    if os.geteuid() != 0:
        if name and name != pwd.getpwuid(os.geteuid()).pw_name:
            raise SetupError(f"Only root can become {name}: leave --user out.")
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
