"""Files that appear when they are complete, and of which a killed process leaves no
part behind."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import gethostname
from tempfile import mkdtemp
from typing import Final

PREFIX: Final = ".unfinished-"
OLD_S: Final = 3600.0  # a process that writes has written since


@contextmanager
def unfinished(folder: Path) -> Iterator[Path]:
    """An empty folder in `folder` while the block runs. First removes those of
    processes that were killed: on this machine those without a lock, of others, which
    may share the folder, those that are old. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{PREFIX}*"):
        _remove_if_left(old)
    one, lock = _make(folder)
    try:
        yield one
    finally:
        shutil.rmtree(one, ignore_errors=True)
        os.close(lock)


def finish(file: Path, path: Path) -> None:
    """Moves a complete `file` to `path`, where it is whole even after a power cut."""
    with file.open("rb") as whole:
        os.fsync(whole.fileno())
    file.replace(path)


def _make(folder: Path) -> tuple[Path, int]:
    """A new folder and its lock, a file descriptor: a lock ends with its process."""
    new = Path(mkdtemp(dir=folder, prefix=".new-"))
    lock = os.open(new, os.O_RDONLY)
    with suppress(OSError):  # a file system without locks
        fcntl.flock(lock, fcntl.LOCK_EX)
    # only now, so that nobody finds it without its lock
    name = f"{PREFIX}{gethostname()}-{new.name.removeprefix('.new-')}"
    return new.rename(folder / name), lock


def _remove_if_left(old: Path) -> None:
    try:
        latest = max(one.stat().st_mtime for one in (old, *old.iterdir()))
        lock = os.open(old, os.O_RDONLY)
    except OSError:  # it has just been removed, or belongs to somebody else
        return
    is_ours = old.name.rpartition("-")[0] == f"{PREFIX}{gethostname()}"
    try:
        if not is_ours and time.time() - latest < OLD_S:
            return
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pass  # its process lives
    else:
        shutil.rmtree(old, ignore_errors=True)
    finally:
        os.close(lock)
