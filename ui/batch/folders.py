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

    def make(self, prefix: str, caller: Caller, **about: Any) -> Folder:
        """A new folder. Raises ClientLimit when its account has too much,
        Unavailable when there is no room for more."""
        self._check_room(caller)
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
        found = self._read(self._root / folder_id)
        is_kind = folder_id.startswith(prefix)
        if not is_kind or found is None or found.about["owner"]["name"] != caller.name:
            raise not_found(folder_id)
        return found

    def all(self, prefix: str) -> Iterator[Folder]:
        """All of a kind, the newest first; those that are too old are deleted, and what
        a process that died has begun."""
        there: list[Folder] = []
        for path in self._root.glob(f"{prefix}*"):
            if folder := self._read(path):
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
        name = caller.name
        return [one for one in self.all(prefix) if one.about["owner"]["name"] == name]

    def delete(self, folder: Folder) -> None:
        shutil.rmtree(folder.path, ignore_errors=True)

    def _check_room(self, caller: Caller) -> None:
        n_folders = n_of_all = n_bytes = n_bytes_of_all = 0
        for folder in self.all(""):
            size = folder.n_bytes()
            n_of_all += 1
            n_bytes_of_all += size
            if Caller(**folder.about["owner"]).account == caller.account:
                n_folders += 1
                n_bytes += size
        if n_folders >= MOST_FOLDERS or n_bytes > MOST_BYTES:
            raise ClientLimit(
                f"You have {n_folders} files and batches with {n_bytes >> 20} MiB; "
                f"{MOST_FOLDERS} and {MOST_BYTES >> 20} MiB are allowed. Delete some."
            )
        is_full = n_bytes_of_all > MOST_BYTES_OF_ALL or n_of_all >= MOST_FOLDERS_OF_ALL
        if is_full or not self.has_disk():
            raise Unavailable("There is no room for more files. Try again later.")

    def has_disk(self) -> bool:
        """Whether the disk is free enough to write on."""
        return not self._root.exists() or shutil.disk_usage(self._root).free > LEFT_FREE

    @staticmethod
    def _read(path: Path) -> Folder | None:
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


def not_found(folder_id: str) -> NotFound:
    return NotFound(f"There is no {folder_id[:80]} here.")
