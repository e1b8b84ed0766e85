"""One child process: ready, dead, restarted, stopped."""

from __future__ import annotations

import os
import signal
import sys
import time
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from edge import supervise
from edge.errors import SetupError
from edge.supervise import Child, Part
from tests.conftest import wait_for


def child(folder: Path, script: str, **options: object) -> Child:
    part = Part(
        name="part",
        command=[sys.executable, "-c", script],
        is_ready=lambda: (folder / "ready").exists(),
        env=dict(os.environ),
        folder=folder,
        **options,
    )
    log = folder / "part.log"
    log.touch()
    return Child(part, log)


READY = "import pathlib, time; pathlib.Path('ready').touch(); time.sleep(60)"


def test_a_part_is_waited_for_until_it_is_ready(tmp_path: Path) -> None:
    one = child(tmp_path, READY)
    one.start()
    one.wait_ready(is_stopping=lambda: False)
    assert one.is_alive
    one.stop()
    assert not one.is_alive


def test_a_part_that_ends_at_once_tells_its_last_words(tmp_path: Path) -> None:
    one = child(tmp_path, "import sys; print('no memory'); sys.exit(3)")
    one.start()
    with pytest.raises(SetupError, match=r"status 3 .*\n.*no memory"):
        one.wait_ready(is_stopping=lambda: False)


def test_a_part_that_crashes_is_said_to_have_crashed(tmp_path: Path) -> None:
    one = child(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    one.start()
    with pytest.raises(SetupError, match="killed by SIGSEGV"):
        one.wait_ready(is_stopping=lambda: False)


def test_a_part_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    one = child(tmp_path, "import time; time.sleep(60)", start_s=0.3)
    one.start()
    with pytest.raises(SetupError, match="not ready"):
        one.wait_ready(is_stopping=lambda: False)
    one.stop()


def test_waiting_ends_when_the_stack_is_stopping(tmp_path: Path) -> None:
    one = child(tmp_path, "import time; time.sleep(60)")
    one.start()
    one.wait_ready(is_stopping=lambda: True)
    one.stop()


def test_a_dead_part_is_restarted_after_growing_pauses(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(supervise, "FIRST_PAUSE_S", 0.2)
    one = child(tmp_path, "pass")
    one.start()
    starts = [one.started]
    while len(starts) < 4:
        if one.revive():
            starts.append(one.started)
        time.sleep(0.005)
    one.stop()
    pauses = [later - earlier for earlier, later in pairwise(starts)]
    assert pauses[0] < pauses[1] < pauses[2]
    assert pauses[2] >= 4 * 0.2


def test_a_living_part_is_left_alone(tmp_path: Path) -> None:
    one = child(tmp_path, READY)
    one.start()
    assert one.revive() is None
    one.stop()


def test_a_part_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + READY
    one = child(tmp_path, stubborn, stop_s=0.3)
    one.start()
    one.wait_ready(is_stopping=lambda: False)
    one.stop()
    assert one.process and one.process.returncode == -signal.SIGKILL


def test_the_configuration_arrives_on_stdin(tmp_path: Path) -> None:
    one = child(tmp_path, "print('got', input())", config="a secret\n")
    one.start()
    wait_for(lambda: "got a secret" in one.log.read_text())
    assert one.process and one.process.wait(5) == 0


def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    parent = f"""
import os, pathlib, sys, time
from edge.supervise import Child, Part
part = Part("part", [sys.executable, "-c", {READY!r}], lambda: True, dict(os.environ),
            pathlib.Path("."))
one = Child(part, pathlib.Path("child.log"))
one.start()
pathlib.Path("pid").write_text(str(one.process.pid))
time.sleep(60)
"""
    one = child(tmp_path, parent)
    one.start()
    wait_for(lambda: (tmp_path / "ready").exists(), 15)
    grandchild = psutil.Process(int((tmp_path / "pid").read_text()))
    assert one.process
    one.process.kill()
    one.process.wait()
    psutil.wait_procs([grandchild], timeout=5)
    assert not grandchild.is_running()
