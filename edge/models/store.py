"""The folder of models: lists, downloads, verifies and deletes files.

One process at a time changes it; a second one waits and then finds the work done.
"""

from __future__ import annotations

import fcntl
import glob
import hashlib
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from rich.filesize import decimal

from edge.errors import SetupError
from edge.gguf.header import read_header
from edge.models.download import download, open_plain, part_of
from edge.models.hub import any_answers, host_of
from edge.models.registry import COMPILED, Entry, RemoteFile, models_folder
from edge.progress import Progress, no_progress, show_progress
from edge.settings import Settings

State = Literal["ok", "missing", "wrong", "unverified"]
Notice = Callable[[str], None]

ANSWER_S: Final = 3.0  # how long a start waits for an answer from the hubs

log = logging.getLogger(__name__)


def endpoints_of(settings: Settings) -> tuple[str, ...]:
    """URLs of the hubs, in the order of their use. Raises SetupError without any."""
    urls = dict.fromkeys(filter(None, (settings.hub_url, settings.mirror_url)))
    if not urls:
        raise SetupError("Nothing can be downloaded: EDGE_HUB_URL is empty.")
    return tuple(urls)


def obtain(entry: Entry, settings: Settings) -> None:
    """Downloads `entry` if an endpoint offers it within ANSWER_S; progress on stderr.

    Raises SetupError with the reason. For `find_model`.
    """
    endpoints = endpoints_of(settings)
    if not any_answers(entry.model, endpoints, ANSWER_S):
        asked = " and ".join(map(host_of, endpoints))
        raise SetupError(f"{asked} did not offer it within {ANSWER_S:g} s.")
    with show_progress(entry.name) as progress:
        pull(entry, models_folder(settings), endpoints, progress=progress)


def pull(
    entry: Entry,
    folder: Path,
    endpoints: Sequence[str],
    *,
    allow_unverified: bool = False,
    progress: Progress = no_progress,
    notice: Notice = log.warning,
) -> None:
    """Downloads what is missing or wrong of `entry` into `folder`.

    `progress` counts the bytes of both files together. Raises SetupError when the
    entry is unverified and that is not allowed, when the disk is too small, when the
    folder cannot be used, and when no endpoint provides the files.
    """
    if entry.unverified and not allow_unverified:
        raise SetupError(
            f"The files of {entry.name} are not checked yet: without a known size and "
            "hash, damaged or false files cannot be recognised. To download what "
            "the hub offers under their names, give --allow-unverified."
        )
    with _locked(folder, notice):
        missing = [f for f in entry.files if state(f, folder) in ("missing", "wrong")]
        _check_room(missing, folder)
        done = {file: bytes_there(file, folder) for file in entry.files}
        done |= {file: _part_size(file, folder) for file in missing}
        sizes = {file: file.size or done[file] for file in entry.files}
        for file in missing:

            def tell(file_done: int, size: int, file: RemoteFile = file) -> None:
                done[file], sizes[file] = file_done, size
                progress(sum(done.values()), sum(sizes.values()))

            download(file, folder, endpoints, tell)


def bytes_there(file: RemoteFile, folder: Path) -> int:
    """How much of a file is in `folder`, whole or partly downloaded."""
    if file.is_in(folder):
        return (folder / file.name).stat().st_size
    return _part_size(file, folder)


def is_here(entry: Entry, folder: Path) -> bool:
    """Whether its language model is in `folder`, right or not, or a part of it; the
    vision file may be another model's too."""
    path = folder / entry.model.name
    return path.is_file() or part_of(path).is_file()


def has_wrong_size(file: RemoteFile, folder: Path) -> bool:
    """Whether the file is in `folder`, but not with its size."""
    return (folder / file.name).is_file() and not file.is_in(folder)


def state(file: RemoteFile, folder: Path) -> State:
    """Whether a file is right. Reads all of it, about a second for each GiB; without a
    known sha256 only its header, which tells whether it is whole."""
    path = folder / file.name
    if not path.is_file():
        return "missing"
    if has_wrong_size(file, folder):
        return "wrong"
    if file.sha256 is None:
        return "unverified" if _is_whole(path) else "wrong"
    with path.open("rb") as contents:
        found = hashlib.file_digest(contents, "sha256").hexdigest()
    return "ok" if found == file.sha256 else "wrong"


def verify(entry: Entry, folder: Path) -> dict[str, State]:
    """The state of both files, by name. Reads all of both."""
    return {file.name: state(file, folder) for file in entry.files}


def remove(
    entry: Entry,
    folder: Path,
    others: Iterable[Entry] = (),
    notice: Notice = log.warning,
) -> int:
    """Deletes the files of `entry` and what was made of them; returns the bytes freed.

    A file stays if one of `others` that is present shares it. Raises SetupError when
    the folder cannot be changed.
    """
    users = (e for e in others if e != entry and is_here(e, folder))
    shared = {file.name for user in users for file in user.files}
    names = {file.name for file in entry.files} - shared
    wholes = [folder / name for name in names]
    return delete([*wholes, *map(part_of, wholes)], folder, notice)


def delete(paths: Iterable[Path], folder: Path, notice: Notice = log.warning) -> int:
    """Deletes the files among `paths` in `folder`, and what was compiled of them;
    returns the bytes freed. Raises SetupError when the folder cannot be changed."""
    freed = 0
    with _locked(folder, notice):
        for whole in filter(Path.is_file, paths):
            compiled = (folder / COMPILED).glob(f"{glob.escape(whole.stem)}-*.blob")
            for path in (whole, *compiled):
                freed += path.stat().st_size
                path.unlink()
    return freed


def _is_whole(path: Path) -> bool:
    try:
        read_header(path)
    except SetupError:
        return False
    return True


def _part_size(file: RemoteFile, folder: Path) -> int:
    part = part_of(folder / file.name)
    return part.stat().st_size if part.is_file() else 0


def _check_room(missing: Iterable[RemoteFile], folder: Path) -> None:
    needed = sum((f.size or 0) - _part_size(f, folder) for f in missing)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise SetupError(
            f"The download needs {decimal(needed)} more and {folder} has "
            f"{decimal(free)} free. Make room there, or choose another folder with "
            "EDGE_DATA_DIR."
        )


@contextmanager
def _locked(folder: Path, notice: Notice) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open_plain(folder / ".lock") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                notice(f"Another process is changing {folder}; waiting for it.")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise SetupError(
            f"{folder} cannot be used: {error.strerror or error}."
        ) from None
