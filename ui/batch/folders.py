"""Folders of clients on the disk, each with an `about.json`. All methods block."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.caller import Caller
from edge.errors import ClientLimit, NotFound, Unavailable

KEEP_S = 7 * 86_400
BEGUN_S = 3600  # longer than it takes to write what a new folder is about
MOST_BYTES = 256 << 20  # of one account
MOST_BYTES_OF_ALL = 2 << 30
MOST_FOLDERS = 200  # of one account
MOST_FOLDERS_OF_ALL = 1000
LEFT_FREE = 1 << 30  # bytes of the disk

ABOUT = "about.json"


@dataclass(frozen=True)
class Folder:
    """One folder: a file or a batch of a client."""

    path: Path
    about: dict[str, Any]

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def owner(self) -> Caller:
        return Caller(**self.about["owner"])

    def counts_for(self, caller: Caller) -> bool:
        """Whether it takes room of `caller`: of its account, or of the address of an
        anonymous one, whose name costs nothing to change."""
        owner = self.owner
        return owner.account == caller.account or owner.culprit == caller.culprit

    def write(self, **about: Any) -> Folder:
        """The folder with some of its `about` changed, on the disk too."""
        changed = Folder(self.path, self.about | about)
        new = self.path / f"{ABOUT}.{secrets.token_hex(4)}"
        new.write_text(json.dumps(changed.about))
        new.replace(self.path / ABOUT)
        return changed

    def n_bytes(self) -> int:
        """0 once it is deleted; what is deleted meanwhile counts or not."""
        n_bytes = 0
        with suppress(FileNotFoundError):
            for one in os.scandir(self.path):
                with suppress(FileNotFoundError):
                    n_bytes += one.stat().st_size
        return n_bytes


class Folders:
    """The folders below `root`, which is made when it is needed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def make(
        self, prefix: str, caller: Caller, n_bytes: int = 0, **about: Any
    ) -> Folder:
        """A new folder, for this many bytes. Raises as `check_room`."""
        self.check_room(caller, 1, n_bytes)
        path = self._root / f"{prefix}{secrets.token_hex(16)}"
        try:
            path.mkdir(parents=True, mode=0o700)
        except OSError as error:
            raise Unavailable(
                "This server has no folder for files: batches are not possible here."
            ) from error
        whole = {"owner": vars(caller), "created_at": int(time.time())} | about
        return Folder(path, whole).write()

    def path(self, folder_id: str) -> Path:
        return self._root / folder_id

    def find(self, folder_id: str, prefix: str, caller: Caller) -> Folder:
        """A folder of this kind. Raises NotFound for one of another caller, as for one
        that is not there."""
        found = self.read(folder_id)
        is_kind = folder_id.startswith(prefix)
        if not is_kind or found is None or found.owner.name != caller.name:
            raise not_found(folder_id)
        return found

    def all(self, prefix: str) -> Iterator[Folder]:
        """All of a kind, the newest first; those that are too old are deleted, and what
        a process that died has begun."""
        there: list[Folder] = []
        for path in self._root.glob(f"{prefix}*"):
            if folder := self.read(path.name):
                there.append(folder)
            elif _is_left(path):
                shutil.rmtree(path, ignore_errors=True)
        for folder in sorted(
            there, key=lambda one: (one.about["created_at"], one.id), reverse=True
        ):
            if folder.about["created_at"] + KEEP_S < time.time():
                self.delete(folder)
            else:
                yield folder

    def of(self, caller: Caller, prefix: str) -> list[Folder]:
        """Those of a caller."""
        return [one for one in self.all(prefix) if one.owner.name == caller.name]

    def delete(self, folder: Folder) -> None:
        shutil.rmtree(folder.path, ignore_errors=True)

    def check_room(self, caller: Caller, n_folders: int = 0, n_bytes: int = 0) -> None:
        """Raises ClientLimit when `caller` has too much with this much more,
        Unavailable when all have, or the disk is full."""
        if not self._has_disk():
            raise _full()
        n_of_all, n_bytes_of_all = n_folders, n_bytes
        for folder in self.all(""):
            size = folder.n_bytes()
            n_of_all += 1
            n_bytes_of_all += size
            if folder.counts_for(caller):
                n_folders += 1
                n_bytes += size
        if n_folders > MOST_FOLDERS or n_bytes > MOST_BYTES:
            raise ClientLimit(
                f"The files and batches of your account or address come to {n_folders} "
                f"with {n_bytes >> 20} MiB; {MOST_FOLDERS} with {MOST_BYTES >> 20} MiB "
                "are allowed. Delete some."
            )
        if n_of_all > MOST_FOLDERS_OF_ALL or n_bytes_of_all > MOST_BYTES_OF_ALL:
            raise _full()

    def _has_disk(self) -> bool:
        """Whether the disk is free enough to write on."""
        return not self._root.exists() or shutil.disk_usage(self._root).free > LEFT_FREE

    def read(self, folder_id: str) -> Folder | None:
        """A folder of any caller; None for one that is deleted or only begun."""
        path = self.path(folder_id)
        try:
            return Folder(path, json.loads((path / ABOUT).read_text()))
        except (OSError, ValueError):
            return None


def _is_left(path: Path) -> bool:
    """Whether nobody will write any more what a folder is about. A file that only
    cannot be read is not absent."""
    try:
        (path / ABOUT).stat()
    except FileNotFoundError:
        with suppress(OSError):
            return path.stat().st_mtime + BEGUN_S < time.time()
    except OSError:
        pass
    return False


def _full() -> Unavailable:
    return Unavailable("There is no room for more files. Try again later.")


def not_found(folder_id: str) -> NotFound:
    return NotFound(f"There is no {folder_id[:80]} here.")
