"""The order in which `edge up` stops its parts, and the time that they get."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from edge.errors import SetupError
from edge.settings import Settings
from edge.up.parts import AFTER_GRACE_S, _ui, worker
from edge.up.service import _temporary_folder
from edge.up.stack import Stack
from edge.up.supervise import Part
from tests.conftest import wait_for

# --- stopping ---------------------------------------------------------------------

LATE = """
import pathlib, signal, sys, time
def say(word):
    with open("story", "a") as story:
        story.write(f"{sys.argv[1]} {word}\\n")
def end(*_):
    say("asked")
    while sys.argv[3] not in pathlib.Path("story").read_text():
        time.sleep(0.02)
    time.sleep(float(sys.argv[2]))
    say("ended")
    raise SystemExit
signal.signal(signal.SIGTERM, end)
pathlib.Path(sys.argv[1]).touch()
time.sleep(600)
"""


def late(
    folder: Path, name: str, seconds: float, *, drains: bool, after: str = ""
) -> Part:
    """A part that takes `seconds` to end, once `after` is in the story."""
    return Part(
        name=name,
        command=[sys.executable, "-c", LATE, name, str(seconds), after],
        is_ready=lambda: (folder / name).exists(),
        env=dict(os.environ),
        folder=folder,
        stop_s=60,
        drains=drains,
    )


def test_nginx_delivers_answers_until_the_work_is_done(
    tmp_path: Path,
) -> None:
    stack = Stack(tmp_path, asked=[])
    stack.start(late(tmp_path, "broker", 0, drains=False))
    stack.start(late(tmp_path, "worker", 0.2, drains=True, after="ui ended"))
    stack.start(late(tmp_path, "ui", 0.2, drains=True, after="worker asked"))
    stack.start(late(tmp_path, "nginx", 0, drains=False))
    stack.stop()
    story = (tmp_path / "story").read_text().split("\n")[:-1]
    assert set(story[:2]) == {"worker asked", "ui asked"}
    assert story[2:] == [
        "ui ended",
        "worker ended",
        "nginx asked",
        "nginx ended",
        "broker asked",
        "broker ended",
    ]


def test_each_part_is_said_to_have_stopped(tmp_path: Path, capsys) -> None:
    """Also one that ends while another one still works."""
    stack = Stack(tmp_path, asked=[])
    stack.start(late(tmp_path, "worker", 0, drains=True))
    stack.start(late(tmp_path, "ui", 0.5, drains=True, after="worker ended"))
    stack.start(late(tmp_path, "nginx", 0, drains=False))
    stack.stop()
    lines = capsys.readouterr().out.splitlines()
    stopped = [line.split()[0] for line in lines if "stopped" in line]
    assert stopped == ["ui", "worker", "nginx"]


def test_a_second_signal_means_at_once(tmp_path: Path) -> None:
    asked: list[int] = []
    stack = Stack(tmp_path, asked)
    stack.start(late(tmp_path, "worker", 60, drains=True))
    asked.append(signal.SIGTERM)

    def ask_again() -> None:
        wait_for((tmp_path / "story").exists)  # it was asked
        time.sleep(0.3)
        asked.append(signal.SIGTERM)

    asking = threading.Thread(target=ask_again)
    began = time.monotonic()
    asking.start()
    stack.stop()
    asking.join()
    assert 0.3 <= time.monotonic() - began < 50


def test_the_log_of_a_start_that_failed_is_kept(tmp_path: Path) -> None:
    """It says why; the message of the next one quotes only its own."""
    script = "import os, sys; print(sys.argv[1], 'is missing'); sys.exit(1)"
    stack = Stack(tmp_path, asked=[])
    for what in ("bread", "milk"):
        part = late(tmp_path, "worker", 0, drains=False)
        part.command = [sys.executable, "-c", script, what]
        child = stack.begin(part)
        with pytest.raises(SetupError) as failure:
            child.wait_ready(is_stopping=lambda: False)
        assert f"{what} is missing" in failure.value.message
        stack.drop(child)
    assert "bread" not in failure.value.message
    assert child.log.read_text() == "bread is missing\nmilk is missing\n"


def test_nothing_is_started_after_a_request_to_stop(tmp_path: Path) -> None:
    stack = Stack(tmp_path, asked=[signal.SIGTERM])
    stack.start(late(tmp_path, "worker", 0, drains=True))
    stack.stop()
    assert not (tmp_path / "worker.log").exists()


def test_worker_and_ui_get_the_grace_and_a_little_more(tmp_path: Path) -> None:
    settings = Settings(broker_url="redis://127.0.0.1:1/0", grace_s=7, hang_s=11)
    own = worker(settings, "tiny", tmp_path)
    for part in (own, _ui(settings, "127.0.0.1:1", tmp_path)):
        assert part.drains
        assert part.stop_s == 7 + AFTER_GRACE_S
    assert own.missed_s > settings.hang_s  # its own watchdog comes first
    assert own.is_missed
    assert own.is_missed(1) is None  # unknown while the broker does not answer


@pytest.mark.parametrize("error", [OSError("no disk"), RuntimeError("no thread")])
def test_a_part_that_cannot_be_looked_after_ends_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def revive() -> str:
        raise error

    asked: list[int] = []
    stack = Stack(tmp_path, asked)
    stack.start(late(tmp_path, "worker", 0, drains=True))
    [child] = stack._children
    child.revive = revive  # type: ignore[method-assign]
    stack.watch(lambda: asked.append(signal.SIGTERM))
    assert f"cannot be looked after ({error})" in capsys.readouterr().out
    stack.stop()


def test_cleaners_of_old_files_leave_the_folder_of_a_stack_alone() -> None:
    """Those of systemd pass over locked folders."""
    with _temporary_folder() as folder:
        cleaner = os.open(folder, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(cleaner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(cleaner)
    assert not Path(folder).exists()
