"""One child process: started with a log of its own, watched, restarted, stopped.

One thread starts and ends all processes, because a child dies with the *thread* that
started it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from edge.errors import SetupError
from edge.up.watch import Watch

PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None)

FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 30.0


@dataclass
class Part:
    """What to run.

    `is_ready` is polled after a start and must return within seconds. `is_missed` is
    polled afterwards: whether the process with this id does not answer, None when that
    cannot be known; by default, whether the part is not ready. A part that `drains` is
    asked to stop before the others and gets time to finish its work.
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
    is_missed: Callable[[int], bool | None] | None = None
    missed_s: float = 60.0
    about: str = ""


@dataclass
class Child:
    """A `part` and the process that runs it."""

    part: Part
    log: Path
    process: subprocess.Popen[bytes] | None = None
    watch: Watch | None = None
    started: float = field(default_factory=time.monotonic)
    died: float | None = None  # when its death was noticed
    pause_s: float = field(default_factory=lambda: FIRST_PAUSE_S)
    is_asked: bool = False
    is_kept_alive: bool = True  # restarted when it dies
    _log_begins: int = 0  # in the log, which goes on after a restart

    def start(self) -> None:
        self.started, self.died, self.is_asked = time.monotonic(), None, False
        self.part.folder.mkdir(parents=True, exist_ok=True)  # cleaners remove old ones
        with self.log.open("ab") as log:
            self._log_begins = log.tell()
            self.process = subprocess.Popen(
                self.part.command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self.part.env,
                cwd=self.part.folder,
                start_new_session=True,  # Ctrl-C is for us: children stop in order
                preexec_fn=_die_with_parent,
            )
        assert self.process.stdin
        try:
            self.process.stdin.write(self.part.config.encode())
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # it died at once, which `wait_ready` reports
        is_missed = self.part.is_missed or (lambda _: not self.part.is_ready())
        self.watch = Watch(self.part.name, self.process.pid, is_missed)

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait_ready(self, is_stopping: Callable[[], bool]) -> None:
        """Returns when the part is ready, or when the stack is stopping.

        Raises SetupError with the end of its log if it dies or takes too long.
        """
        while not is_stopping() and not self.check_start():
            time.sleep(0.1)

    def check_start(self) -> bool:
        """Whether the part is ready. Raises SetupError as `wait_ready`."""
        if not self.is_alive:
            raise SetupError(
                f"{self.part.name} {self._death()} while it started:\n"
                + self.log_tail()
            )
        if self.part.is_ready():
            if self.watch:
                self.watch.record_answer()
            return True
        if time.monotonic() > self.started + self.part.start_s:
            raise SetupError(
                f"{self.part.name} was not ready after {self.part.start_s:.0f} s:\n"
                + self.log_tail()
            )
        return False

    def revive(self) -> str | None:
        """Restarts a dead child after a pause, kills one that has been silent for too
        long, and returns what it did.

        The pause grows only with deaths before the first answer, when a part cannot
        start. Otherwise a client that can crash a part could keep it down for long.
        """
        if self.is_alive:
            return self._kill_if_hung()
        if self.process is None or self.watch is None:
            return None
        now = time.monotonic()
        if self.died is None:
            self.died = now
            self._kill_group()
        if self.watch.has_answered:
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
        if self.process is not None and self.is_alive and not self.is_asked:
            self.is_asked = True
            self.process.send_signal(self.part.stop_signal)

    def stop(self, in_a_hurry: Callable[[], bool] = lambda: False) -> None:
        """Asks it to stop, and kills it after `stop_s` or as soon as `in_a_hurry`."""
        if self.watch is not None:
            self.watch.close()
        if self.process is None:
            return
        if not self.is_alive:
            if self.died is None:
                self._kill_group()
            return
        self.ask()
        give_up = time.monotonic() + self.part.stop_s
        while self.is_alive:
            if time.monotonic() > give_up or in_a_hurry():
                self._kill()
            time.sleep(0.02)

    def _kill(self) -> None:
        assert self.process
        self._kill_group()
        self.process.wait()

    def _kill_group(self) -> None:
        """Kills all processes that it began: nginx's workers outlive it, and keep its
        port."""
        assert self.process
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def _kill_if_hung(self) -> str | None:
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

    def log_tail(self, n_lines: int = 12) -> str:
        """The last lines since the start."""
        said = self.log.read_bytes()
        if len(said) >= self._log_begins:  # else it was emptied since
            said = said[self._log_begins :]
        lines = said.decode(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-n_lines:])


def _die_with_parent() -> None:
    """In the child: arranges for SIGTERM when the parent dies, even by SIGKILL."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
