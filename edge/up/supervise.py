"""One child process: started with a log of its own, watched, restarted, stopped.

A thread beside each asks again and again whether the part still answers, so that one
which hangs holds up nobody's watch. Processes are started and ended by one thread only:
a child dies with the *thread* that started it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge.errors import SetupError

PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None)

FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 30.0
# Between two questions to a part whether it still answers. A worker is told of for
# longer than that after its death, so a first answer is not missed.
ASK_S = 0.5
# The most that one such question counts for: we may have been stopped ourselves.
MOST_COUNTED_S = 4.0


@dataclass
class Part:
    """What to run. `is_ready` is polled after a start and must return within seconds;
    so is `is_missed` later on, which says that the process with this id does not
    answer, or None when that cannot be told.

    One that `drains` is asked to stop before the others and may take its time.
    """

    name: str
    command: list[str]
    is_ready: Callable[[], bool]
    env: Mapping[str, str]
    folder: Path
    config: str = ""  # given on stdin
    start_s: float = 60.0
    stop_s: float = 10.0
    stop_signal: signal.Signals = signal.SIGTERM
    drains: bool = False
    # By default: it is not ready.
    is_missed: Callable[[int], bool | None] | None = None
    missed_s: float = 60.0
    about: str = ""


class Watch:
    """Asks one run of a part, in a thread, whether it still answers."""

    def __init__(self, part: Part, pid: int) -> None:
        self._part = part
        self._pid = pid
        self._closed = threading.Event()
        self.has_answered = False
        self.silent_s = 0.0  # since its last answer, or its start
        threading.Thread(target=self._ask, name=part.name, daemon=True).start()

    def close(self) -> None:
        self._closed.set()

    def hear(self) -> None:
        """The part has just answered."""
        self.has_answered, self.silent_s = True, 0.0

    def _ask(self) -> None:
        is_missed = self._part.is_missed or (lambda _: not self._part.is_ready())
        before = time.monotonic()
        while not self._closed.is_set():
            missed: bool | None = True
            with suppress(Exception):  # a check that fails is no answer
                missed = is_missed(self._pid)
            if missed:
                passed_s = time.monotonic() - before
                self.silent_s += min(passed_s, MOST_COUNTED_S)
            elif missed is False:
                self.hear()
            before = time.monotonic()
            self._closed.wait(ASK_S)


@dataclass
class Child:
    """A running `part`."""

    part: Part
    log: Path
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    died: float = 0.0  # when that was noticed
    pause_s: float = 0.0
    asked: bool = False
    watch: Watch | None = None

    def start(self) -> None:
        self.started, self.died, self.asked = time.monotonic(), 0.0, False
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.part.command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self.part.env,
                cwd=self.part.folder,
                start_new_session=True,  # Ctrl-C is for us; we stop children in order
                preexec_fn=_die_with_parent,
            )
        assert self.process.stdin
        try:
            self.process.stdin.write(self.part.config.encode())
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # it died at once; whoever waits for it will say so
        self.watch = Watch(self.part, self.process.pid)

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait_ready(self, is_stopping: Callable[[], bool]) -> None:
        """Returns when the part is ready, or when the stack is stopping.

        Raises SetupError with the end of its log if it dies or takes too long.
        """
        give_up = self.started + self.part.start_s
        while not is_stopping():
            if not self.is_alive:
                raise SetupError(
                    f"{self.part.name} {self._death()} while it started:\n"
                    + self.last_words()
                )
            if self.part.is_ready():
                if self.watch:
                    self.watch.hear()
                return
            if time.monotonic() > give_up:
                raise SetupError(
                    f"{self.part.name} was not ready after {self.part.start_s:.0f} s:\n"
                    + self.last_words()
                )
            time.sleep(0.1)

    def revive(self) -> str | None:
        """Restarts a dead child after a pause; says so when it did. One that has not
        answered for too long is killed.

        The pause grows with each death of one that never answered: it cannot start.
        Whoever can kill a part that works would otherwise keep it away for long.
        """
        if self.is_alive:
            return self._end_if_hung()
        if self.process is None or self.watch is None:
            return None
        now = time.monotonic()
        self.died = self.died or now
        if self.pause_s == 0.0 or self.watch.has_answered:
            self.pause_s = FIRST_PAUSE_S
        if now - self.died < self.pause_s:
            return None
        self.watch.close()
        self.pause_s = min(2 * self.pause_s, MAX_PAUSE_S)
        death = self._death()
        self.start()
        return f"{death} and was restarted"

    def ask(self) -> None:
        """Asks it to stop."""
        if self.process is not None and self.is_alive and not self.asked:
            self.asked = True
            self.process.send_signal(self.part.stop_signal)

    def stop(self, in_a_hurry: Callable[[], bool] = lambda: False) -> None:
        """Asks it to stop, and kills it if it has not after `stop_s`, or when there is
        no time for that."""
        if self.watch is not None:
            self.watch.close()
        if self.process is None or not self.is_alive:
            return
        self.ask()
        give_up = time.monotonic() + self.part.stop_s
        while self.is_alive:
            if time.monotonic() > give_up or in_a_hurry():
                self._kill()
            time.sleep(0.02)

    def _kill(self) -> None:
        """With all that it has started: nginx's workers would outlive it."""
        assert self.process
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _end_if_hung(self) -> str | None:
        assert self.watch
        has_answered = self.watch.has_answered
        limit_s = self.part.missed_s if has_answered else self.part.start_s
        if (silent_s := self.watch.silent_s) <= limit_s:
            return None
        self._kill()
        return f"did not answer for {silent_s:.0f} s and was killed"

    def _death(self) -> str:
        """How the dead process ended: a native crash leaves nothing in its log."""
        assert self.process
        status = self.process.returncode
        if status < 0:
            return f"was killed by {signal.Signals(-status).name}"
        return f"ended with status {status}"

    def last_words(self, n_lines: int = 12) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-n_lines:])


def _die_with_parent() -> None:
    """In the child: get SIGTERM when our parent dies, even if it is killed."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
