"""One child process: ready, dead, restarted, stopped."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from edge.errors import SetupError
from edge.up import supervise, watch
from edge.up.supervise import Child, Part
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


def test_a_part_that_ends_at_once_shows_the_end_of_its_log(tmp_path: Path) -> None:
    one = child(tmp_path, "import sys; print('no memory'); sys.exit(3)")
    one.start()
    with pytest.raises(SetupError, match=r"status 3 .*\n.*no memory"):
        one.wait_ready(is_stopping=lambda: False)


def test_the_end_of_a_log_that_was_emptied_meanwhile_is_shown(tmp_path: Path) -> None:
    emptied = "import os, sys; os.ftruncate(1, 0); print('no memory'); sys.exit(3)"
    one = child(tmp_path, emptied)
    one.log.write_text("It was started before, and failed.\n" * 9)
    one.start()
    with pytest.raises(SetupError, match=r"status 3 .*\n.*no memory"):
        one.wait_ready(is_stopping=lambda: False)


def test_a_crash_is_reported_as_a_crash(tmp_path: Path) -> None:
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
    for pause, least in zip(pauses, (0.2, 0.4, 0.8), strict=True):
        assert pause >= least


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


SLOW = (
    """
import pathlib, signal, time
def end(*_):
    pathlib.Path("asked").touch()
    time.sleep(0.3)
    raise SystemExit
signal.signal(signal.SIGTERM, end)
"""
    + READY
)


def test_a_part_may_take_its_time_to_end(tmp_path: Path) -> None:
    one = child(tmp_path, SLOW, stop_s=60)
    one.start()
    one.wait_ready(is_stopping=lambda: False)
    began = time.monotonic()
    one.stop()
    assert time.monotonic() - began >= 0.3
    assert one.process and one.process.returncode == 0


def test_asking_does_not_wait_and_stopping_does_not_ask_again(tmp_path: Path) -> None:
    """A second signal would end it at once."""
    counting = SLOW.replace(
        'Path("asked").touch()', 'Path("asked").open("a").write("x")'
    )
    held = counting.replace(
        "time.sleep(0.3)",
        "while not pathlib.Path('go').exists(): time.sleep(0.01)",
    )
    one = child(tmp_path, held, stop_s=60)
    one.start()
    one.wait_ready(is_stopping=lambda: False)
    one.ask()
    assert one.is_alive
    wait_for(lambda: (tmp_path / "asked").exists())
    one.ask()
    assert one.is_alive
    (tmp_path / "go").touch()
    one.stop()
    assert (tmp_path / "asked").read_text() == "x"
    assert one.process and one.process.returncode == 0


def test_in_a_hurry_a_part_is_killed(tmp_path: Path) -> None:
    one = child(tmp_path, SLOW.replace("sleep(0.3)", "sleep(60)"), stop_s=60)
    one.start()
    one.wait_ready(is_stopping=lambda: False)
    began = time.monotonic()
    one.stop(in_a_hurry=lambda: (tmp_path / "asked").exists())
    assert time.monotonic() - began < 50
    assert one.process and one.process.returncode == -signal.SIGKILL


def test_asking_an_ended_part_to_stop_does_nothing(tmp_path: Path) -> None:
    one = child(tmp_path, "pass")
    one.ask()  # not started yet
    one.start()
    wait_for(lambda: not one.is_alive)
    one.ask()
    one.stop()
    assert one.process and one.process.returncode == 0


def test_children_of_a_killed_part_end_with_it(tmp_path: Path) -> None:
    """Like the workers of nginx."""
    family = f"""
import pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path("pid").write_text(str(other.pid))
{READY}
"""
    one = child(tmp_path, family, stop_s=0.1)
    one.start()
    one.wait_ready(is_stopping=lambda: False)
    other = psutil.Process(int((tmp_path / "pid").read_text()))
    one.stop()
    gone, _ = psutil.wait_procs([other], timeout=60)
    assert gone


# --- a part that runs and does not answer ----------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(watch, "POLL_S", 0.01)
    monkeypatch.setattr(watch, "DOUBT_S", 0.01)


@pytest.mark.usefixtures("impatient")
def test_a_silent_part_is_killed_and_restarted(
    tmp_path: Path,
) -> None:
    answered = [time.monotonic()]
    hangs = False

    def is_missed(_: int) -> bool:
        if not (missed := hangs):
            answered.append(time.monotonic())
        return missed

    one = child(tmp_path, READY, is_missed=is_missed, missed_s=0.3)
    one.start()
    wait_for(lambda: one.watch.has_answered)
    hung, hangs = one.process, True
    killed = r"did not answer for \d+ s and was killed"
    wait_for(lambda: (said := one.revive()) and re.fullmatch(killed, said))
    assert time.monotonic() - answered[-1] >= 0.3
    assert hung and hung.returncode == -signal.SIGKILL
    wait_for(lambda: one.revive() == "was killed by SIGKILL and was restarted")
    assert one.is_alive
    one.stop()


@pytest.mark.usefixtures("impatient")
def test_being_ready_counts_as_an_answer(tmp_path: Path) -> None:
    """It may hang right afterwards."""
    one = child(tmp_path, READY, is_missed=lambda _: True, missed_s=0.1, start_s=60)
    one.start()
    one.wait_ready(is_stopping=lambda: False)
    wait_for(lambda: (said := one.revive()) and "was killed" in said)
    one.stop()


@pytest.mark.usefixtures("impatient")
def test_a_part_that_answers_again_is_left_alone(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(watch, "MAX_COUNTED_S", 0.1)  # of a poll that comes late
    polled: list[int] = []

    def is_missed(pid: int) -> bool:
        polled.append(pid)
        return len(polled) % 2 == 0

    one = child(tmp_path, READY, is_missed=is_missed, missed_s=0.2)
    one.start()
    while len(polled) < 80:  # half of them for 0.01 s
        assert one.revive() is None
        time.sleep(0.02)
    assert one.is_alive
    one.stop()


@pytest.mark.usefixtures("impatient")
def test_a_failing_check_counts_as_silence(tmp_path: Path) -> None:
    def fail(pid: int) -> bool:
        raise ValueError("a strange answer")

    one = child(tmp_path, READY, is_missed=fail, missed_s=0.1)
    one.start()
    one.wait_ready(is_stopping=lambda: False)
    wait_for(lambda: (said := one.revive()) and "was killed" in said)
    one.stop()


@pytest.mark.usefixtures("impatient")
def test_a_part_in_an_unknown_state_is_left_alone(tmp_path: Path) -> None:
    one = child(tmp_path, READY, is_missed=lambda _: None, missed_s=0.05, start_s=0.1)
    one.start()
    for _ in range(20):
        assert one.revive() is None
        time.sleep(0.02)
    assert one.is_alive
    one.stop()


@pytest.mark.usefixtures("impatient")
def test_a_part_that_has_not_answered_yet_is_still_starting(tmp_path: Path) -> None:
    one = child(tmp_path, READY, is_missed=lambda _: True, missed_s=0.05, start_s=30)
    one.start()
    for _ in range(20):
        assert one.revive() is None
        time.sleep(0.02)
    assert one.is_alive
    one.stop()


@pytest.mark.usefixtures("impatient")
def test_a_restart_that_never_answers_is_ended_too(tmp_path: Path) -> None:
    one = child(tmp_path, READY, is_missed=lambda _: True, start_s=0.2)
    one.start()
    wait_for(lambda: (said := one.revive()) and "was killed" in said)
    one.stop()


@pytest.mark.usefixtures("impatient")
def test_a_check_that_hangs_delays_nothing_else(tmp_path: Path) -> None:
    let_go = threading.Event()
    slow = child(tmp_path, READY, is_missed=lambda _: let_go.wait(60))
    slow.start()
    began = time.monotonic()
    for _ in range(10):
        slow.revive()
    assert time.monotonic() - began < 50
    let_go.set()
    slow.stop()


@pytest.mark.usefixtures("impatient")
def test_a_frozen_machine_does_not_count_as_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen machine: hours pass in one step."""
    monkeypatch.setattr(watch, "MAX_COUNTED_S", 0.01)
    answers = iter([False])
    one = child(
        tmp_path, READY, is_missed=lambda _: next(answers, True), missed_s=5, start_s=5
    )
    one.start()
    wait_for(lambda: one.watch.has_answered)
    with monkeypatch.context() as frozen:
        clock = time.monotonic
        frozen.setattr(watch.time, "monotonic", lambda: clock() + 7200)
        wait_for(lambda: one.watch.silent_s > 0)
    assert one.watch.silent_s < 60
    one.stop()


@pytest.mark.usefixtures("impatient")
def test_deaths_of_a_working_part_do_not_lengthen_the_pause(
    tmp_path: Path,
) -> None:
    """A client that can crash a worker must not keep it down for 30 s."""
    one = child(tmp_path, READY)
    one.start()
    for _ in range(6):
        wait_for(lambda: one.watch.has_answered)
        os.kill(one.process.pid, signal.SIGKILL)
        wait_for(lambda: not one.is_alive)
        wait_for(one.revive)
        assert one.pause_s <= 2 * supervise.FIRST_PAUSE_S
    one.stop()


@pytest.mark.usefixtures("impatient")
def test_an_answer_after_death_counts_as_working(tmp_path: Path) -> None:
    """A worker is listed for three more seconds, so it may answer after its death."""
    heard = False
    one = child(tmp_path, "pass", is_missed=lambda _: not heard)
    one.start()
    wait_for(one.revive)
    one.pause_s = 300
    wait_for(lambda: not one.is_alive)
    assert one.revive() is None
    heard = True
    wait_for(one.revive)
    assert one.pause_s <= 2 * supervise.FIRST_PAUSE_S
    one.stop()


@pytest.mark.usefixtures("impatient")
def test_each_run_is_polled_by_its_own_process_id(tmp_path: Path) -> None:
    """An answer of the previous process does not count."""
    asked: list[int] = []
    one = child(tmp_path, "import time; time.sleep(60)", is_missed=asked.append)
    one.start()
    first = one.process.pid
    wait_for(lambda: first in asked)
    one.process.kill()
    wait_for(one.revive)
    asked.clear()
    wait_for(lambda: one.process.pid in asked)
    one.stop()


def test_the_configuration_arrives_on_stdin(tmp_path: Path) -> None:
    one = child(tmp_path, "print('got', input())", config="a secret\n")
    one.start()
    wait_for(lambda: "got a secret" in one.log.read_text())
    assert one.process and one.process.wait(60) == 0


def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    parent = f"""
import os, pathlib, sys, time
from edge.up.supervise import Child, Part
part = Part("part", [sys.executable, "-c", {READY!r}], lambda: True, dict(os.environ),
            pathlib.Path("."))
one = Child(part, pathlib.Path("child.log"))
one.start()
pathlib.Path("new").write_text(str(one.process.pid))
pathlib.Path("new").rename("pid")
time.sleep(60)
"""
    one = child(tmp_path, parent)
    one.start()
    names = ("ready", "pid")
    wait_for(lambda: all((tmp_path / name).exists() for name in names))
    grandchild = psutil.Process(int((tmp_path / "pid").read_text()))
    assert one.process
    one.process.kill()
    one.process.wait()
    psutil.wait_procs([grandchild], timeout=60)
    assert not grandchild.is_running()


def test_a_part_is_polled_more_often_when_it_misses_a_poll(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "POLL_S", 0.3)
    monkeypatch.setattr(watch, "DOUBT_S", 0.01)
    polled: list[float] = []

    def is_missed(_: int) -> bool:
        polled.append(time.monotonic())
        if len(polled) == 2:
            monkeypatch.setattr(watch, "POLL_S", 300)  # no longer of use
        return len(polled) > 1

    one = watch.Watch("part", os.getpid(), is_missed)
    wait_for(lambda: len(polled) > 4)
    one.close()
    assert polled[1] - polled[0] >= 0.3


def test_what_a_dead_part_began_dies_with_it(tmp_path: Path) -> None:
    """nginx's workers would keep its port, and the next nginx could never start."""
    script = (
        "import pathlib, subprocess, sys\n"
        "sleep = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        "one = subprocess.Popen(sleep)\n"
        "pathlib.Path('orphan').write_text(str(one.pid)); " + READY
    )
    one = child(tmp_path, script)
    one.start()
    one.wait_ready(is_stopping=lambda: False)
    orphan = psutil.Process(int((tmp_path / "orphan").read_text()))
    assert one.process
    one.process.kill()
    wait_for(lambda: not one.is_alive)
    one.revive()
    wait_for(lambda: not orphan.is_running() or orphan.status() == "zombie")
    one.stop()


def test_a_folder_that_was_cleaned_away_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    one = child(folder, READY)
    one.log = tmp_path / "part.log"
    one.part = replace(one.part, folder=folder / "sub")
    one.start()
    wait_for(lambda: (folder / "sub" / "ready").exists())
    one.stop()
