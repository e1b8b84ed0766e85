"""`edge bench` brings the packages that it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from edge.cli import bench
from edge.cli.app import app

Commands = list[list[str]]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """An installation for serving only: what is run instead of pip and the program."""
    ran: Commands = []

    def run(words: list[str], **_: object) -> SimpleNamespace:
        ran.append(words)
        return SimpleNamespace(returncode=0, stderr="")

    found = {"benchmarks": True}
    monkeypatch.setattr(bench, "find_spec", found.get)
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(os, "execv", lambda _, words: ran.append(words))
    return ran


def test_what_is_missing_is_installed_first(commands: Commands) -> None:
    result = CliRunner().invoke(app, ["bench", "--stages", "1"])

    assert result.exit_code == 0, result.output
    pip, program = commands
    assert pip[:4] == [sys.executable, "-m", "pip", "install"]
    assert "-c" in pip
    names = {word.split(">")[0] for word in pip}
    assert {"locust", "matplotlib", "jinja2"} <= names
    assert program == [sys.executable, "-m", "benchmarks", "--stages", "1"]


def test_without_a_network_the_reason_is_one_sentence(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = SimpleNamespace(returncode=1, stderr="noise\nERROR: No network.")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)

    result = CliRunner().invoke(app, ["monitor"])

    assert result.exit_code == 1
    assert result.stderr.endswith("could not install them: ERROR: No network.\n")
    assert commands == []
