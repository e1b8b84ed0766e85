"""The state of a running stack: its processes, memory, files, and health."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx
import psutil

from tests.stack.conftest import Stack


@dataclass(frozen=True)
class State:
    """Of each part the pid and the resident megabytes; of each file size and time."""

    pids: dict[str, int]
    memory_mb: dict[str, float]
    files: dict[str, tuple[int, int]]
    n_tracebacks: int  # in the logs
    said: str

    @classmethod
    def of(cls, stack: Stack, folder: Path) -> State:
        parts = parts_of(stack)
        return cls(
            {name: part.pid for name, part in parts.items()},
            {name: rss_mb(part) for name, part in parts.items()},
            files_in(folder),
            sum(
                log.read_text(errors="replace").count("Traceback")
                for log in folder.glob("data/state/*/logs/*")
            ),
            stack.said(),
        )

    @property
    def total_mb(self) -> float:
        return sum(self.memory_mb.values())

    def changed_since(self, before: State) -> list[str]:
        """Files and folders that are new or another."""
        old = before.files
        return sorted(path for path in self.files if old.get(path) != self.files[path])


class Watch:
    """Meanwhile: the longest time without an answer of /health, and files outside of
    `folder` that a part has open for writing."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._stack, self._folder = stack, folder
        self._over = threading.Event()
        self.deaf_s = 0.0
        self.outside: set[str] = set()
        self._threads = [
            threading.Thread(target=run) for run in (self._listen, self._look)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _listen(self) -> None:
        last = time.monotonic()
        while not self._over.wait(0.1):
            try:
                is_well = httpx.get(f"{self._stack.url}/health", timeout=60).is_success
            except httpx.HTTPError:
                is_well = False
            now = time.monotonic()
            self.deaf_s = max(self.deaf_s, now - last)
            last = now if is_well else last

    def _look(self) -> None:
        while not self._over.wait(0.5):
            for process in self._stack.children():
                self.outside |= set(written(process.pid, self._folder))


def written(pid: int, inside: Path) -> Iterator[str]:
    """Regular files outside of a folder that a process may write now."""
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            target = os.readlink(link)
            info = Path(f"/proc/{pid}/fdinfo/{link.name}").read_text()
        except OSError:  # closed, or the process has ended
            continue
        flags = int(next(x for x in info.splitlines() if x.startswith("flags:"))[6:], 8)
        is_file = target.startswith("/") and not target.startswith(("/dev/", "/memfd:"))
        if is_file and flags & os.O_ACCMODE and not target.startswith(str(inside)):
            yield target


def parts_of(stack: Stack) -> dict[str, psutil.Process]:
    """By name: `edge up`, what it started, and nginx's workers."""
    found = {"edge up": psutil.Process(stack.process.pid)}
    for child in found["edge up"].children():
        words = child.cmdline()
        name = words[2] if words[1:2] == ["-m"] else child.name()
        found[name if name not in found else f"{name} 2"] = child
        if name.startswith("nginx"):
            for n, worker in enumerate(child.children()):
                found[f"nginx worker {n}"] = worker
    return found


def rss_mb(process: psutil.Process) -> float:
    """With its children, such as jails; nginx's workers are parts of their own."""
    every = [process]
    if process.name() != "edge" and not process.name().startswith("nginx"):
        every += process.children(recursive=True)
    total = 0
    for one in every:
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6


def files_in(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of each file; a folder has neither."""
    found = {}
    for path in folder.rglob("*"):
        about = path.lstat()
        what = (0, 0) if path.is_dir() else (about.st_size, about.st_mtime_ns)
        found[str(path.relative_to(folder))] = what
    return found
