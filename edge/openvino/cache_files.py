"""Files that are derived from a GGUF file once, and mapped at each later start."""

from __future__ import annotations

import hashlib
import mmap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from edge.unfinished import finish, unfinished

DROP_S: Final = 0.05  # some 50 MB are read meanwhile


def cache_path(
    source: Path, folder: Path, name: str, revision: int, *parts: object
) -> Path:
    """The path in `folder` of what is derived from the GGUF file `source`; it depends
    on the file's size and time, on `revision` and on `parts`. Deletes what was derived
    under that name from another state of these."""
    file = source.stat()
    key = (revision, source.resolve(), file.st_size, file.st_mtime_ns, *parts)
    digest = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
    path = folder / f"{source.stem}-{name}-{digest}.blob"
    for old in folder.glob(f"{source.stem}-{name}-*.blob"):
        if old != path:
            old.unlink(missing_ok=True)
    return path


def map_file(path: Path) -> mmap.mmap:
    """A private mapping: OpenVINO accepts writable memory only, and never writes."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


def drop(pages: mmap.mmap) -> None:
    """Gives the memory of a mapping back; what is read again comes from the file."""
    pages.madvise(mmap.MADV_DONTNEED)


@contextmanager
def dropping(pages: mmap.mmap) -> Iterator[None]:
    """Drops `pages` again and again while the block reads them once."""
    is_over = threading.Event()

    def loop() -> None:
        while not is_over.wait(DROP_S):
            drop(pages)

    thread = threading.Thread(target=loop, name="dropping")
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        drop(pages)


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that appears at `path` when it is complete, and never before."""
    with unfinished(path.parent) as aside:
        whole = aside / path.name
        with whole.open("wb") as file:
            yield file
        finish(whole, path)
