"""The parent's side of a decoding child: starts it, and bounds what it returns."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import threading
from contextlib import suppress
from typing import Any

from edge.errors import InvalidPicture, Unavailable
from edge.images.limits import CHILD_SECONDS, Limits
from edge.images.spares import Spares, start_child

log = logging.getLogger(__name__)

# Its CPU time ends a child long before. 12 busy processes on 2 cores leave a large
# picture, which yields to answers, a twentieth of a core.
WALL_SECONDS = 12 * CHILD_SECONDS
LONGEST_HEADER = 32 << 10  # a text layer in JSON takes up to six bytes a character


class Jail:
    """A file on its way through a child of its own, which runs `module` or is one of
    `spares`. It is told `order`, a line, and returns at most `most_rgb` bytes of
    pixels."""

    def __init__(
        self,
        encoded: bytes,
        order: bytes,
        most_rgb: int,
        limits: Limits,
        *,
        module: str = "edge.images.child",
        spares: Spares | None = None,
    ) -> None:
        self.limits = limits
        self.was_ended = False  # from outside, whatever the file is
        self.missing: list[str] = []  # see `lockdown.lock_down`
        self._encoded = encoded
        self._order = order
        self._most_rgb = most_rgb
        self._module = module
        self._spares = spares
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def output(self) -> tuple[dict[str, Any], bytes]:
        """What the child returns, which an attacker may control: a header, and pixels.
        Blocks for as long as the child runs.

        Raises InvalidPicture within WALL_SECONDS for anything but a picture or a
        document, Unavailable when no child can be started.
        """
        try:
            status, output = self._run()
        except (OSError, RuntimeError) as error:  # no memory, process or thread is left
            self.was_ended = True
            raise Unavailable("No picture can be decoded now. Try again.") from error
        if self.was_ended or status == -signal.SIGXCPU:
            raise InvalidPicture("This file takes too long to decode.")
        if status == -signal.SIGKILL:  # the machine is out of memory, not this child
            self.was_ended = True
        header, _, rgb = output.partition(b"\n")
        if status == 0 and len(header) <= LONGEST_HEADER:
            with suppress(ValueError, RecursionError):
                result = json.loads(header)
                if isinstance(result, dict):
                    return result, rgb
        raise self.fault(f"ended with status {status}")

    def fault(self, reason: str) -> InvalidPicture:
        """The error for a child that did not return what it should."""
        log.warning("a picture's decoder %s", reason)
        return InvalidPicture(
            "This file could not be decoded within the limits on memory and "
            "time. Send a smaller or undamaged one."
        )

    def _run(self) -> tuple[int, bytes]:
        """The child's exit status, and its output up to its largest size."""
        most = LONGEST_HEADER + self._most_rgb
        with self._start() as child:
            assert child.stdin and child.stdout
            watch = threading.Timer(WALL_SECONDS, self.kill)
            try:
                watch.start()
                with suppress(BrokenPipeError):  # its status says why it reads no more
                    for part in (self._order, self._encoded):
                        _write(child.stdin.fileno(), part)
                child.stdin.close()
                output = child.stdout.read(most + 1)
                if len(output) > most:
                    child.kill()
                return child.wait(), output
            finally:
                child.kill()
                watch.cancel()

    def kill(self) -> None:
        """Ends the child, from any thread; one that has not started never will."""
        with self._lock:
            self.was_ended = True
            if self._child is not None:
                self._child.kill()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self.was_ended:
                raise InvalidPicture("This picture is no longer needed.")
            spare = self._spares.take(self.limits) if self._spares else None
            self._child = spare or start_child(self.limits, self._module)
        return self._child


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
