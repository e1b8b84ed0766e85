"""Decoding children that are started before there is a picture for them.

To start one costs more than to decode a small picture. Each is as confined as any other
before it waits, decodes one picture, and is replaced.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from edge.images.limits import SMALL, Limits


def start_child(
    limits: Limits, module: str = "edge.images.child"
) -> subprocess.Popen[bytes]:
    """A child without folder, environment or open files of this process, which runs
    `module`. It ends when its stdin does: it does not outlive this process.

    Raises OSError when none can be started.
    """
    numbers = str(limits.cpu_s), str(limits.memory_bytes)
    return subprocess.Popen(
        [sys.executable, "-I", "-m", module, *numbers],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"OPENBLAS_NUM_THREADS": "1"},  # a thread of its own would be a free one
        cwd="/",
    )


class Spares:
    """Up to `n` waiting children, all with the limits of small pictures: a large one
    takes seconds, to which the start adds little. Safe for several threads."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._lock = threading.Lock()
        self._children: list[subprocess.Popen[bytes]] = []
        self._is_closed = False
        # A copy of this process has copies of the pipes, and must not use them.
        os.register_at_fork(after_in_child=self._forget)

    def take(self, limits: Limits) -> subprocess.Popen[bytes] | None:
        """A living child with these limits, if there is one. It is the caller's."""
        if limits != SMALL:
            return None
        with self._lock:
            while self._children:
                child = self._children.pop()
                if child.poll() is None:
                    return child
                _end(child)
        return None

    def refill(self) -> None:
        """Starts what is missing. Takes milliseconds.

        Raises OSError when no child can be started.
        """
        with self._lock:
            while len(self._children) < self._n and not self._is_closed:
                self._children.append(start_child(SMALL))

    def close(self) -> None:
        """Ends all of them; no other is started."""
        with self._lock:
            self._is_closed = True
            while self._children:
                _end(self._children.pop())

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._children = []


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    with child:  # closes its pipes, and waits
        pass
