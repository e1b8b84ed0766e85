"""Files that nobody else on this machine may read: what people asked is in them."""

from __future__ import annotations

import grp
import os
from contextlib import suppress
from pathlib import Path

UMASK = 0o077

# Accounts that distributions run web servers as; nginx's workers become the first that
# is there when root starts them.
_WEB_ACCOUNTS = ("www-data", "nginx", "http")


def make_private(folder: Path) -> None:
    """Creates `folder`, and closes it and all in it to others: folders 0700, files
    0600. Links are left alone. Raises OSError for what is not ours."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for parent, folders, files in os.walk(folder):
        for names, mode in ((folders, 0o700), (files, 0o600)):
            for path in (Path(parent, name) for name in names):
                if not path.is_symlink():
                    with suppress(FileNotFoundError):  # a temporary file of Redis
                        path.chmod(mode)


def web_account() -> str | None:
    """The account that nginx's workers get from root; None when we are not root."""
    if os.geteuid() != 0:
        return None
    names = {group.gr_name for group in grp.getgrall()}
    return next((name for name in _WEB_ACCOUNTS if name in names), "nobody")


def let_in(folder: Path, account: str) -> None:
    """Lets `account` reach what in `folder` it knows by name, and nobody else. New
    files in it, sockets too, belong to its group."""
    try:
        group = grp.getgrnam(account).gr_gid
    except KeyError:  # nobody, on Debian
        group = grp.getgrnam("nogroup").gr_gid
    os.chown(folder, -1, group)
    folder.chmod(0o2710)
