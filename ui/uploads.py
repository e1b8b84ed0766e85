"""Pictures that people uploaded to the page: checked, counted, private to their owner.

A file gets a folder with a random name, and a row in a table. A path from a client is
only looked up in that table; the path that is opened was made here.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edge.errors import BodyTooLarge, InvalidPicture, NotFound, StorageFull
from edge.images import FORMATS
from ui.question import SentPicture, digest_of
from ui.surface import KIB, MIB, UPLOAD_BYTES

ADDRESS_BYTES = 100 * MIB
TOTAL_BYTES = 1024 * MIB
IDLE_S = 3600.0  # then an upload is removed
LONGEST_NAME = 60  # characters
LEAST_BYTES = 64 * KIB  # that each counts as: a tiny file takes a row and a folder too

TYPES = {"PNG": "png", "JPEG": "jpg", "GIF": "gif", "WEBP": "webp"}
MEDIA = {"png": "image/png", "jpg": "image/jpeg", "gif": "image/gif"}
MEDIA["webp"] = "image/webp"


def format_of(data: bytes) -> str:
    """The file extension of a picture, judged by its first bytes.

    Raises InvalidPicture. No decoder runs: a child process decodes the picture when a
    question is asked about it.
    """
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return TYPES["PNG"]
    if data.startswith(b"\xff\xd8\xff"):
        return TYPES["JPEG"]
    if data.startswith((b"GIF87a", b"GIF89a")):
        return TYPES["GIF"]
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return TYPES["WEBP"]
    raise InvalidPicture(
        f"This is not a picture in one of the formats {', '.join(FORMATS)}."
    )


def media_type(path: str) -> str:
    """The media type of an upload, by the extension that it got here."""
    return MEDIA[path.rpartition(".")[2]]


@dataclass
class Upload:
    """One file: its owner, its path, when it was last used, and the name of its bytes
    (see `ui.question.digest_of`)."""

    owner: str
    address: str
    path: Path
    digest: bytes
    n_bytes: int
    used: float

    @property
    def media_type(self) -> str:
        return media_type(str(self.path))


class Uploads:
    """All uploads of this process, in `folder`, which is emptied first. Its methods
    that touch files block; they may be called from any thread."""

    def __init__(
        self,
        folder: Path,
        total_bytes: int = TOTAL_BYTES,
        address_bytes: int = ADDRESS_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
        self._folder = folder
        # leaves room on the disk for other programs
        self._total = min(total_bytes, shutil.disk_usage(folder).total // 2)
        self._of_address = address_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._found: dict[str, Upload] = {}

    def check_room(self, address: str, n_bytes: int) -> None:
        """Raises BodyTooLarge or StorageFull when `n_bytes` more do not fit."""
        with self._lock:
            self._check_room(address, n_bytes)

    def _check_room(self, address: str, n_bytes: int) -> None:
        self._forget_idle()
        rows = self._found.values()
        if sum(u.n_bytes for u in rows if u.address == address) + n_bytes > (
            self._of_address
        ):
            raise BodyTooLarge(
                f"Your pictures take more than {self._of_address // MIB} MiB here. "
                "They are removed an hour after their last use."
            )
        if sum(u.n_bytes for u in rows) + n_bytes > self._total:
            raise StorageFull(
                "There is no room for more pictures. Try again in an hour."
            )

    def add(self, owner: str, address: str, name: str, data: bytes) -> Upload:
        """Keeps a picture. Raises InvalidPicture, BodyTooLarge, StorageFull."""
        kind = format_of(data)
        digest = digest_of(data)
        n_bytes = max(len(data), LEAST_BYTES)
        folder = self._folder / secrets.token_hex(32)
        path = folder / f"{_plain(name)}.{kind}"
        with self._lock:  # the row before the file, so that parallel uploads count it
            self._check_room(address, n_bytes)
            upload = Upload(owner, address, path, digest, n_bytes, self._clock())
            self._found[str(path)] = upload
        try:
            folder.mkdir(mode=0o700)
            path.write_bytes(data)
        except OSError as error:
            self.remove(upload)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull("The disk of this server is full.") from None
            raise
        return upload

    def remove(self, upload: Upload) -> None:
        with self._lock:
            self._found.pop(str(upload.path), None)
        shutil.rmtree(upload.path.parent, ignore_errors=True)

    def find(self, owner: str, path: str) -> Upload:
        """An upload of `owner`. Raises NotFound, also for uploads of others."""
        upload = self._found.get(path)
        if upload is None or upload.owner != owner:
            raise NotFound("This picture is no longer here. Add it again.")
        upload.used = self._clock()
        return upload

    def read(self, owner: str, path: str) -> bytes:
        """The bytes of an upload of `owner`. Raises NotFound."""
        return read_regular(self.find(owner, path).path)

    def sent(self, owner: str, path: str) -> SentPicture:
        """An upload of `owner` as a picture of a question. Raises NotFound."""
        upload = self.find(owner, path)
        return SentPicture(upload.digest, partial(read_regular, upload.path))

    def _forget_idle(self) -> None:
        oldest = self._clock() - IDLE_S
        for path, upload in [*self._found.items()]:
            if upload.used < oldest:
                del self._found[path]
                shutil.rmtree(upload.path.parent, ignore_errors=True)


def read_regular(path: Path) -> bytes:
    """The bytes of a regular file. Raises NotFound for anything else, links too."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except OSError:
        raise NotFound("This picture is no longer here. Add it again.") from None
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode) or about.st_size > UPLOAD_BYTES:
            raise NotFound("This picture is no longer here. Add it again.")
        return file.read(UPLOAD_BYTES)


def _plain(name: str) -> str:
    """A file's name without its extension, in letters that a path may have."""
    stem = Path(name.replace("\\", "/")).stem
    return re.sub("[^A-Za-z0-9_-]+", "_", stem)[:LONGEST_NAME] or "picture"
