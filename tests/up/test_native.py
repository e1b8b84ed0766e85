"""What `edge doctor` says while llama.cpp is compiled."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bootstrap import progress
from edge.up import native


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without llama.cpp; the file that the set-up writes."""
    monkeypatch.setattr(native, "has_llama", lambda: False)
    monkeypatch.setattr(progress, "STATE", tmp_path / "llama-cpp.json")
    return tmp_path / "llama-cpp.json"


def compiling(**facts: object) -> None:
    progress.write_state("key", state="compiling", **facts)


def test_the_time_left_follows_from_what_is_done(state: Path) -> None:
    compiling(pid=os.getpid(), **progress.Progress(34, 136, 100)._asdict())
    assert "compiling, about 6 minutes left" in native.described(state)
    compiling(pid=os.getpid(), **progress.Progress(135, 136, 400)._asdict())
    assert "about 1 minute left" in native.described(state)


def test_before_the_first_file_the_time_is_unknown(state: Path) -> None:
    compiling(pid=os.getpid())
    assert "downloading, before it is compiled" in native.described(state)


def test_a_compilation_that_was_stopped_is_not_awaited(state: Path) -> None:
    compiling(pid=2**22 + 1, **progress.Progress(34, 136, 100)._asdict())
    assert "`make run` compiles it" in native.described(state)


def test_a_failed_compilation_shows_its_reason(state: Path) -> None:
    progress.write_state("key", state="failed", reason="There is no compiler.")
    said = native.described(state)
    assert "There is no compiler." in said
    assert "`make setup`" in said


@pytest.mark.parametrize("text", [None, "", "[]", json.dumps({"state": "compiling"})])
def test_a_damaged_state_is_ignored(state: Path, text: str | None) -> None:
    if text is not None:
        state.write_text(text)
    assert "not installed" in native.described(state)


def test_an_installed_llama_cpp_needs_no_words(state: Path, monkeypatch) -> None:
    monkeypatch.setattr(native, "has_llama", lambda: True)
    assert native.described(state) == ""
