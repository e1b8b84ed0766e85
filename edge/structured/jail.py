"""The jail: a child process with hard limits that tries out schemas from clients first.

A schema that attacks the matcher in an unknown way ends only this child, which is this
module run as a script. It reads the vocabulary once and then one schema a line, and
forks for each: so its memory is freed, and limits on time and memory are per schema. It
ends when it is idle or its parent is gone.
"""

from __future__ import annotations

import json
import os
import random
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from llguidance import LLMatcher

from edge.errors import EngineError
from edge.images.lockdown import leave_root
from edge.images.seccomp import forbid_new_privileges
from edge.structured.matcher import Unusable, Vocabulary

CPU_S = 1  # for one schema; a usual one takes milliseconds
MEMORY_BYTES = 256 << 20  # beside the vocabulary
WALL_S = 10.0  # on a busy machine
START_S = 60.0
IDLE_S = 300.0
WALKS, STEPS = 3, 40  # random answers for each schema, and their tokens
TOO_EXPENSIVE = "it takes too much time or memory"


class Jail:
    """Tries out schemas over a vocabulary, one at a time. Any thread may call it."""

    def __init__(self, pieces: Sequence[bytes], ends: Sequence[int]) -> None:
        self._pieces = pieces
        self._ends = ends
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def judge(self, schema: str) -> None:
        """Returns when `schema` is harmless. Raises Unusable with the reason when it is
        not; EngineError when it cannot be tried out, or takes WALL_S: the child's CPU
        time ends sooner, so that says something about the machine."""
        with self._lock:
            for _ in range(2):  # an idle child may end at this moment
                verdict = self._ask(json.dumps(schema).encode() + b"\n")
                if verdict is not None:
                    break
            else:
                raise EngineError("This schema could not be checked. Try again.")
        if verdict["error"]:
            raise Unusable(verdict["error"])

    def close(self) -> None:
        with self._lock:
            self._end()

    def _ask(self, line: bytes) -> dict[str, str] | None:
        """The child's verdict; None when there is no child to give one."""
        try:
            child = self._child or self._start()
            assert child.stdin
            child.stdin.write(line)
            child.stdin.flush()
            answer = _read_line(child, WALL_S)
        except TimeoutError:
            self._end()
            raise EngineError(
                "This machine is too busy to check the schema. Try again."
            ) from None
        except OSError:
            answer = b""
        if not answer.endswith(b"\n"):
            self._end()
            return None
        verdict: dict[str, str] = json.loads(answer)
        return verdict

    def _start(self) -> subprocess.Popen[bytes]:
        self._child = child = subprocess.Popen(
            [sys.executable, "-I", "-m", "edge.structured.jail"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,
        )
        assert child.stdin
        head = {"ends": list(self._ends), "sizes": [*map(len, self._pieces)]}
        child.stdin.write(json.dumps(head).encode() + b"\n" + b"".join(self._pieces))
        child.stdin.flush()
        _read_line(child, START_S)
        return child

    def _end(self) -> None:
        if (child := self._child) is None:
            return
        self._child = None
        with suppress(ProcessLookupError):  # and its fork
            os.killpg(child.pid, signal.SIGKILL)
        for stream in (child.stdin, child.stdout):
            assert stream
            with suppress(OSError):  # unwritten bytes
                stream.close()
        child.wait()


def _read_line(child: subprocess.Popen[bytes], seconds: float) -> bytes:
    """A line; an incomplete one when the child has ended. Raises TimeoutError."""
    assert child.stdout
    end, line = time.monotonic() + seconds, b""
    while not line.endswith(b"\n"):
        left = max(0.0, end - time.monotonic())
        if not select.select([child.stdout], [], [], left)[0]:
            raise TimeoutError
        read = os.read(child.stdout.fileno(), 65536)
        if not read:
            break
        line += read
    return line


# Everything below runs in the child.


def _serve() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    head = json.loads(sys.stdin.buffer.readline())
    pieces = [sys.stdin.buffer.read(size) for size in head["sizes"]]
    vocabulary = Vocabulary(pieces, head["ends"])
    leave_root()
    forbid_new_privileges()
    os.write(1, b"\n")
    while select.select([0], [], [], IDLE_S)[0]:
        line = sys.stdin.buffer.readline()
        if not line:
            return
        child = os.fork()
        if child == 0:
            _judge(vocabulary, json.loads(line))
        _, status = os.waitpid(child, 0)
        if status != 0:
            os.write(1, json.dumps({"error": TOO_EXPENSIVE}).encode() + b"\n")


def _judge(vocabulary: Vocabulary, schema: str) -> None:
    """Tries out one schema, writes the verdict, and ends the process."""
    status = 1
    try:
        with open("/proc/self/statm") as file:
            n_bytes = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (n_bytes + MEMORY_BYTES,) * 2)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))  # no file and no socket
        verdict = {"error": ""}
        try:
            for seed in range(WALKS):
                _walk(vocabulary.matcher(schema), random.Random(seed))
        except Unusable as fault:
            verdict["error"] = str(fault)
        os.write(1, json.dumps(verdict).encode() + b"\n")
        status = 0
    finally:
        os._exit(status)


def _walk(matcher: LLMatcher, rng: random.Random) -> None:
    """The first tokens of a random answer."""
    for _ in range(STEPS):
        mask = matcher.compute_bitmask()
        if matcher.is_error():
            raise Unusable(TOO_EXPENSIVE)
        # from a random byte of the mask on: a random token without unpacking it all
        begin = rng.randrange(len(mask))
        if not any(mask):
            raise Unusable("no answer fits it")
        at = next(
            i % len(mask)
            for i in range(begin, begin + len(mask))
            if mask[i % len(mask)]
        )
        token = at * 8 + rng.choice([bit for bit in range(8) if mask[at] >> bit & 1])
        if not matcher.consume_token(token):
            raise Unusable(TOO_EXPENSIVE)
        if matcher.is_stopped():
            return


if __name__ == "__main__":
    _serve()
