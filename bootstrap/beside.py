"""llama.cpp compiled and installed beside a running service, at the lowest priority.

Nothing waits for it: OpenVINO computes. It ends with the service, because Ctrl-C stops
everything; the next start continues where it was.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from bootstrap import debian, llama_cpp
from bootstrap.commands import ROOT, SetupError, say
from bootstrap.llama_cpp import Build
from bootstrap.progress import Progress, write_state

LOOK_S = 1.0
LOG = "setup.log"  # in the cache folder of the build


def start(build: Build) -> None:
    """Starts it as a child of this process, which then becomes the service."""
    build.folder.mkdir(parents=True, exist_ok=True)
    with (build.folder / LOG).open("w") as log:
        subprocess.Popen(
            [sys.executable, "-m", "bootstrap", "beside"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the service
        )


def compile_and_install(build: Build) -> None:
    """The child: tells `edge doctor` how far it is and the terminal when it is done."""
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    lower_priority()

    def on_progress(progress: Progress) -> None:
        write_state(build.key, state="compiling", pid=os.getpid(), **progress._asdict())

    try:
        write_state(build.key, state="compiling", pid=os.getpid())
        debian.bring(debian.for_llama_cpp(is_compiled=build.wheel() is not None))
        llama_cpp.install(build, llama_cpp.bring_wheel(build, on_progress))
    except (SetupError, OSError) as error:
        write_state(build.key, state="failed", reason=str(error))
        say(f"llama.cpp is not installed, and nothing waits for it. {error}")
        return
    say("llama.cpp is installed: `edge doctor --tune` measures whether it is faster.")


def lower_priority() -> None:
    os.nice(19)
    with suppress(OSError):  # where the kernel shares the cores by session
        Path("/proc/self/autogroup").write_text("19")


def end_with(service: int) -> None:
    """Ends this process group when its parent, the process `service`, has ended."""
    while os.getppid() == service:
        time.sleep(LOOK_S)
    os.killpg(0, signal.SIGTERM)
