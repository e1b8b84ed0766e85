"""Downloads one file from a model hub into a folder: resumed, checked, whole or absent.

The data so far is in NAME.part, so that a kill loses nothing, and becomes NAME in one
step when size and sha256 are right. Where the sha256 is unknown, the rest must be of
the same version at the hub as the data so far.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from io import BufferedRandom
from pathlib import Path
from typing import Final

from rich.filesize import decimal

from edge.errors import SetupError
from edge.models.hub import Broken, Damaged, Refused, fetch, host_of
from edge.models.registry import RemoteFile
from edge.progress import Progress, no_progress

VERSION: Final = "user.edge-vl.version"  # an attribute of the part on disk
STALL_S: Final = 30.0  # after this time without data a connection is given up

# Seconds before the next round over all endpoints, by the number of rounds in a row
# without progress. After the last one the download has failed.
WAITS_S: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
LONGEST_WAIT_S: Final = 60.0  # even if a server's Retry-After is longer


def part_of(path: Path) -> Path:
    """The path of a file that is not whole yet."""
    return path.with_name(f"{path.name}.part")


def download(
    file: RemoteFile,
    folder: Path,
    endpoints: Sequence[str],
    progress: Progress = no_progress,
    *,
    sleep: Callable[[float], None] = time.sleep,
    stall_s: float = STALL_S,
) -> Path:
    """Downloads `file` into `folder` and returns its path.

    The endpoints take turns, each provides what is still missing; one that refuses is
    not asked again. Raises SetupError with the reason of each host, or of the disk.
    """
    target = folder / file.name
    try:
        with closing(_Part(part_of(target))) as part:
            _fill(part, file, endpoints, progress, sleep, stall_s)
            part.finish(target)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise SetupError(
                f"{part_of(target)} is a link, and nothing is written through links: "
                "remove it."
            ) from None
        raise SetupError(
            f"{file.name} cannot be written into {folder}: {error.strerror or error}."
        ) from None
    return target


def open_plain(path: Path) -> BufferedRandom:
    """The file at `path`, created if it is missing, open to read and to append.

    Raises OSError for a link, which might lead to somebody else's file, and for what is
    not a regular file, which might never end.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    file = open(os.open(path, flags, 0o644), "r+b")  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is not a plain file", str(path))
    return file


class _OtherVersion(Refused):
    """Raised when an endpoint has another version of the file than the data so far."""


class _Part:
    """The beginning of a file, on disk and in a hash. OSErrors come from the disk.

    `version` is that of the file at the hub; None: another process began the part, and
    its version is unknown.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = open_plain(path)
        self._file.seek(0)
        self._hash = hashlib.file_digest(self._file, "sha256")
        self.size = self._file.tell()
        self.version: str | None = None
        with suppress(OSError):
            self.version = os.getxattr(self._file.fileno(), VERSION).decode() or None

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)

    def start_over(self, version: str = "") -> None:
        self._file.truncate(0)
        self._hash = hashlib.sha256()
        self.size = 0
        self.version = version
        with suppress(OSError):  # some file systems keep no attributes
            os.setxattr(self._file.fileno(), VERSION, version.encode())

    def finish(self, target: Path) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        os.replace(self._path, target)

    def close(self) -> None:
        self._file.close()
        if self.size == 0:
            self._path.unlink(missing_ok=True)


def _fill(
    part: _Part,
    file: RemoteFile,
    endpoints: Sequence[str],
    progress: Progress,
    sleep: Callable[[float], None],
    stall_s: float,
) -> None:
    """Downloads until `part` is the whole file. Raises SetupError when that fails."""
    left, others, reasons = list(endpoints), list[str](), dict[str, str]()
    furthest, fruitless, was_damaged = part.size, 0, False
    while left and fruitless < len(WAITS_S):
        pause = WAITS_S[fruitless]
        for endpoint in tuple(left):
            try:
                return _get(part, file, endpoint, progress, stall_s)
            except Refused as refusal:
                reasons[endpoint] = str(refusal)
                left.remove(endpoint)
                if isinstance(refusal, _OtherVersion):
                    others.append(endpoint)
            except Broken as failure:
                reasons[endpoint] = str(failure)
                pause = max(pause, failure.retry_after_s)
            except Damaged as damage:
                reasons[endpoint] = str(damage)
                part.start_over()
                if was_damaged:
                    raise _failure(part, file, reasons) from None
                furthest, was_damaged = 0, True
        if others and not left:  # nobody has the one that was begun
            part.start_over()
            left, others, furthest = others, [], 0
        fruitless = 0 if part.size > furthest else fruitless + 1
        furthest = max(furthest, part.size)
        if left and fruitless < len(WAITS_S):
            sleep(min(pause, LONGEST_WAIT_S))
    raise _failure(part, file, reasons)


def _get(
    part: _Part, file: RemoteFile, endpoint: str, progress: Progress, stall_s: float
) -> None:
    """Downloads the rest from one endpoint. Raises Refused, Broken and Damaged."""
    if file.size and part.size > file.size:
        part.start_over()
    if part.size != file.size:
        with closing(fetch(endpoint, file, part.size, stall_s)) as pieces:
            for offset, data, total, version in pieces:
                if offset == 0:
                    part.start_over(version)
                elif file.sha256 is None and version != part.version:
                    if part.version:  # another hub may have the one that was begun
                        raise _OtherVersion(f"{host_of(endpoint)} has another version")
                    raise Damaged("it is not known which version was begun")
                part.write(data)
                progress(part.size, total)
    if file.sha256 not in (None, part.sha256):
        raise Damaged(f"what {host_of(endpoint)} sent has another sha256 than the file")


def _failure(part: _Part, file: RemoteFile, reasons: dict[str, str]) -> SetupError:
    kept = f"{decimal(part.size)} are kept for the next attempt. " if part.size else ""
    return SetupError(
        f"{file.name} could not be downloaded: {'; '.join(reasons.values())}. "
        f"{kept}Try again later, or set EDGE_HUB_URL to another hub."
    )
