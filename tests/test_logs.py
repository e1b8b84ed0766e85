"""Logs show where something happened, in bounded lines, not what people asked."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from edge import logs
from edge.errors import EngineError, SetupError
from edge.logs import LogFormatter, printable, rotate, start_afresh

SECRET = "my salary is 939676"


def record(message: str, error: BaseException | None = None) -> logging.LogRecord:
    told = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("name", 20, "file", 1, message, None, told)


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        if cause is None:
            raise error
        raise error from raised(cause)
    except BaseException as one:
        return one


@given(st.text())
def test_a_record_is_one_bounded_line_without_control_characters(text: str) -> None:
    line = LogFormatter().format(record(text * 50))
    assert len(line) < logs.LONGEST_LINE + 100
    assert "\n" not in line
    assert printable(line) == line
    line.encode()  # no half of a character is left


def test_control_characters_are_escaped() -> None:
    assert printable("a\x1b[2J\x07\x9b\u202eb") == r"a\x1b[2J\x07\x9b\u202eb"
    assert printable("Grüße, 你好 👍\n\t") == "Grüße, 你好 👍\n\t"


@pytest.mark.parametrize(
    "error",
    [
        ValueError(SECRET),
        raised(KeyError(SECRET), ValueError(SECRET)),
        ExceptionGroup(SECRET, [raised(ValueError(SECRET))]),
        redis.ResponseError(f"unknown command, beginning with {SECRET}"),
        UnicodeEncodeError("utf-8", SECRET, 0, 1, SECRET),
    ],
)
def test_an_exception_is_logged_without_its_message(error: BaseException) -> None:
    told = LogFormatter().format(record("failed", raised(error)))
    assert SECRET not in told
    assert type(error).__name__ in told
    assert f"{__file__}:" in told


@pytest.mark.parametrize(
    "error", [OSError(28, "No space"), EngineError("No space"), SetupError("No space")]
)
def test_messages_of_infrastructure_errors_are_kept(error: BaseException) -> None:
    told = LogFormatter().format(record("failed", raised(error)))
    assert "No space" in told


def test_a_long_chain_is_cut() -> None:
    error: BaseException = ValueError("0")
    for n in range(100):
        error = raised(ValueError(str(n)), error)
    told = LogFormatter().format(record("failed", error))
    assert len(told.splitlines()) < 100


PROGRAM = f"""
import logging, sys, threading, traceback, warnings
from edge.logs import set_up_logs
set_up_logs()
secret = {SECRET!r}
logging.getLogger("x").info("a question\\nFAKE LINE %s", "\\x1b[2J")
try:
    raise ValueError(secret)
except ValueError:
    logging.getLogger("x").exception("failed")
    traceback.print_exc()
def fail():
    raise ValueError(secret)
thread = threading.Thread(target=fail)
thread.start()
thread.join()
warnings.warn("a warning")
raise ValueError("no such library")
"""


def test_printed_exceptions_are_logged_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert SECRET not in done.stderr
    assert done.stderr.count("builtins.ValueError, newest call last") == 4
    assert "a question\\nFAKE LINE \\x1b[2J" in done.stderr
    assert "a warning" in done.stderr
    assert "the process ends: no such library" in done.stderr


# --- rotation ---------------------------------------------------------------------


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(logs, "LARGEST_BYTES", 100)
    path = tmp_path / "ui.log"
    start_afresh(path)
    return path


def test_three_parts_of_a_log_are_kept_while_its_writer_goes_on(log: Path) -> None:
    with log.open("ab", buffering=0) as writer:  # as a child process holds it
        for part in b"abcd":
            writer.write(bytes([part]) * 150)
            rotate(log)
        writer.write(b"e")
    found = {path.name: path.read_bytes()[:1] for path in log.parent.iterdir()}
    assert found == {"ui.log": b"e", "ui.log.1": b"d", "ui.log.2": b"c"}
    assert log.stat().st_size == 1  # and no hole at its beginning


def test_a_log_that_somebody_has_moved_away_is_left_alone(log: Path) -> None:
    log.unlink()
    rotate(log)
    assert not log.exists()


def test_a_small_log_is_left_alone(log: Path) -> None:
    log.write_bytes(b"x" * 100)
    rotate(log)
    assert [path.name for path in log.parent.iterdir()] == ["ui.log"]


def test_a_new_start_leaves_nothing_of_an_earlier_one(log: Path) -> None:
    for name in ("ui.log", "ui.log.1", "ui.log.2"):
        log.with_name(name).write_text("old")
    start_afresh(log)
    assert {path.name: path.read_text() for path in log.parent.iterdir()} == {
        "ui.log": ""
    }


def test_a_log_is_emptied_when_there_is_no_room_to_keep_it(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(logs.shutil, "copyfile", full)
    log.write_bytes(b"x" * 150)
    rotate(log)
    assert log.stat().st_size == 0
