"""Files that appear when they are complete, and of which a killed process leaves no
part behind."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

PREFIX: Final = ".unfinished-"


@contextmanager
def unfinished(folder: Path) -> Iterator[Path]:
    """An empty folder in `folder` while the block runs. First removes those of
    processes that were killed. Raises OSError."""
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
    fcntl.flock(lock, fcntl.LOCK_EX)
    # only now, so that nobody finds it without its lock
    return new.rename(folder / f"{PREFIX}{new.name.removeprefix('.new-')}"), lock


def _remove_if_left(old: Path) -> None:
    try:
        lock = os.open(old, os.O_RDONLY)
    except OSError:  # it has just been removed, or belongs to somebody else
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pass  # its process lives
    else:
        shutil.rmtree(old, ignore_errors=True)
    finally:
        os.close(lock)
