"""The parent's side of a decoding: starts the child, and checks what it returns."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import threading
from contextlib import suppress
from typing import Any, cast, get_args

from edge.errors import InvalidPicture, Unavailable
from edge.images.limits import CHILD_SECONDS, Limits, limits_for
from edge.images.picture import PIXELS_PER_TOKEN, Picture
from edge.images.spares import Spares, start_child
from edge.marks import Orientation, SourceFile

log = logging.getLogger(__name__)

WALL_SECONDS = CHILD_SECONDS + 1  # a busy machine gives less than a CPU
_LONGEST_HEADER = 4096
# The words that `lockdown.lock_down` may report.
_MISSING = {
    "user": "Root cannot become another user here: pictures are decoded as root.",
    "filter": "This kernel filters no system calls (seccomp): pictures are decoded "
    "within limits on memory, time, files and processes only.",
}
_NO_RESULT = (ValueError, TypeError, KeyError, OverflowError, RecursionError)
_SMALLEST = bytes.fromhex(  # a GIF of one pixel
    "4749463839610100010080000000000000000021f90401000000002c00000000010001000002024401003b"
)


class Decoding:
    """One picture on its way through a child of its own, one of `spares` if it may; see
    `decode.normalise`."""

    def __init__(
        self,
        encoded: bytes,
        max_tokens: int,
        size: tuple[int, int] | None = None,
        spares: Spares | None = None,
    ) -> None:
        self.limits: Limits = limits_for(encoded)
        self.was_ended = False  # from outside, whatever the picture is
        self.missing: list[str] = []  # see `lockdown.lock_down`
        self._encoded = encoded
        self._max_tokens = max_tokens
        self._size = size
        self._spares = spares
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def run(self) -> Picture:
        """Blocks for as long as the child runs.

        Raises InvalidPicture within WALL_SECONDS for anything but a picture,
        Unavailable when no child can be started.
        """
        try:
            status, output = self._run()
        except (OSError, RuntimeError) as error:  # no memory, process or thread is left
            self.was_ended = True
            raise Unavailable("No picture can be decoded now. Try again.") from error
        return self._picture(status, output)

    def _run(self) -> tuple[int, bytes]:
        """The child's exit status, and its output up to its largest size."""
        most = _LONGEST_HEADER + self._max_tokens * PIXELS_PER_TOKEN * 3
        with self._start() as child:
            assert child.stdin and child.stdout
            watch = threading.Timer(WALL_SECONDS, self.kill)
            try:
                watch.start()
                with suppress(BrokenPipeError):  # its status says why it reads no more
                    for part in (self._order(), self._encoded):
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
            self._child = spare or start_child(self.limits)
        return self._child

    def _order(self) -> bytes:
        """The first line that the child reads."""
        return (
            " ".join(map(str, (self._max_tokens, *(self._size or ())))).encode() + b"\n"
        )

    def _picture(self, status: int, output: bytes) -> Picture:
        """The result of the child, which an attacker may control by now."""
        if self.was_ended or status == -signal.SIGXCPU:
            raise InvalidPicture("This picture takes too long to decode.")
        if status == -signal.SIGKILL:  # the machine is out of memory, not this child
            self.was_ended = True
        header, _, rgb = output.partition(b"\n")
        if status == 0 and len(header) <= _LONGEST_HEADER:
            with suppress(*_NO_RESULT):
                return self._checked(json.loads(header), rgb)
        log.warning("a picture's decoder ended with status %d", status)
        raise InvalidPicture(
            "This picture could not be decoded within the limits on memory and "
            "time. Send a smaller or undamaged one."
        )

    def _checked(self, result: dict[str, Any], rgb: bytes) -> Picture:
        self.missing = [word for word in _MISSING if word in result["missing"]]
        if "error" in result:
            raise InvalidPicture(str(result["error"]))
        width, height = int(result["width"]), int(result["height"])
        n_pixels = width * height
        if min(width, height) < 1 or n_pixels > self._max_tokens * PIXELS_PER_TOKEN:
            raise ValueError("not a size that was asked for")
        if len(rgb) != 3 * n_pixels:
            raise ValueError("pixels of another size")
        source = _source(result["source"])
        picture = Picture(width, height, rgb, bool(result["is_first"]), source)
        _ = picture.ref  # hashed here: the caller's thread may be an event loop
        return picture


def _source(result: list[int] | None) -> SourceFile | None:
    if result is None:
        return None
    width, height, orientation = map(int, result)
    is_size = 1 <= min(width, height) <= max(width, height) < 1 << 31
    if not is_size or orientation not in get_args(Orientation):
        raise ValueError("neither a size nor an orientation")
    return SourceFile(width, height, cast(Orientation, orientation))


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def vet(
    encoded: bytes, max_tokens: int, size: tuple[int, int] | None = None
) -> Picture:
    """The picture that `encoded` holds, in one of the formats of `claim.Format`, at
    most `max_tokens` x 1024 pixels large, or of this `size` (see `normalise`). Blocks
    for as long as the child runs.

    Raises InvalidPicture for anything else, within WALL_SECONDS.
    """
    return Decoding(encoded, max_tokens, size).run()


def confinement() -> list[str]:
    """The protections that this machine lacks for a decoder, a sentence each."""
    decoding = Decoding(_SMALLEST, 1)
    decoding.run()
    return [_MISSING[word] for word in decoding.missing]
