"""Closes files and folders to other accounts: they hold what people asked."""

from __future__ import annotations

import grp
import os
from contextlib import suppress
from pathlib import Path

UMASK = 0o077

# Accounts that distributions run web servers as. When root starts nginx, its workers
# change to the first one that exists.
_WEB_ACCOUNTS = ("www-data", "nginx", "http")


def make_private(folder: Path) -> None:
    """Creates `folder`, and closes it and its contents to others: folders 0700, files
    0600. Does not follow links. Raises OSError for files of another account."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for parent, folders, files in os.walk(folder):
        for names, mode in ((folders, 0o700), (files, 0o600)):
            for path in (Path(parent, name) for name in names):
                if not path.is_symlink():
                    with suppress(FileNotFoundError):  # a temporary file of Redis
                        path.chmod(mode)


def web_account() -> str | None:
    """The account of nginx's workers under root; None if this process is not root."""
    if os.geteuid() != 0:
        return None
    names = {group.gr_name for group in grp.getgrall()}
    return next((name for name in _WEB_ACCOUNTS if name in names), "nobody")


def let_in(folder: Path, account: str) -> None:
    """Lets only `account` open files in `folder` whose names it knows. New files and
    sockets in it get the group of the account."""
    try:
        group = grp.getgrnam(account).gr_gid
    except KeyError:  # nobody, on Debian
        group = grp.getgrnam("nogroup").gr_gid
    os.chown(folder, -1, group)
    folder.chmod(0o2710)
