"""One child process: started with a log of its own, watched, restarted, stopped."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
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
CALM_S = 60.0  # after so long a life a death starts with a short pause again


@dataclass
class Part:
    """What to run. `is_ready` is polled after a start and must return quickly; so is
    `is_missed` later on, which says that a process that runs is not heard of.

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
    is_missed: Callable[[], bool] = lambda: False
    missed_s: float = 60.0
    about: str = ""


@dataclass
class Child:
    """A running `part`."""

    part: Part
    log: Path
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause_s: float = 0.0
    heard: float = 0.0  # when it was last not missed; 0 before the first time
    asked: bool = False

    def start(self) -> None:
        self.started, self.heard, self.asked = time.monotonic(), 0.0, False
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
                return
            if time.monotonic() > give_up:
                raise SetupError(
                    f"{self.part.name} was not ready after {self.part.start_s:.0f} s:\n"
                    + self.last_words()
                )
            time.sleep(0.1)

    def revive(self) -> str | None:
        """Restarts a dead child after a pause; says so when it did. One that has not
        been heard of for too long is dead too."""
        if self.is_alive:
            return self._end_if_hung()
        if self.process is None:
            return None
        now = time.monotonic()
        if self.pause_s == 0.0 or now - self.started > CALM_S:
            self.pause_s = FIRST_PAUSE_S
        if now - self.started < self.pause_s:
            return None
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
        now = time.monotonic()
        if not self.part.is_missed():
            self.heard = now
        elif self.heard and now - self.heard > self.part.missed_s:
            self._kill()
            return f"was not heard of for {self.part.missed_s:.0f} s and was killed"
        return None

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
