"""Debian packages are installed by root only; others are told the command."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace

import pytest

from bootstrap import debian
from bootstrap.commands import SetupError
from tests.bootstrap.conftest import Machine


def test_a_compiler_is_required_only_for_a_build(machine: Machine) -> None:
    machine(programs=set(), root=False)

    assert debian.for_llama_cpp(is_compiled=False) == ["g++"]
    assert "g++" not in debian.for_llama_cpp(is_compiled=True)


def test_browser_tests_need_a_chromium_and_a_font(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = SimpleNamespace(returncode=1)
    best, other = debian.BROWSERS[:2]

    for has, root, lacking in (
        ({best}, True, []),
        ({other}, False, []),
        ({other}, True, [best]),
        (set(), False, [best]),
    ):
        machine(programs=has, root=root)
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
        assert debian.for_browser_tests() == [*lacking, "fonts-noto-cjk"]


def test_without_root_the_exact_command_is_shown(machine: Machine) -> None:
    commands = machine(programs={"apt-get"}, root=False)

    with pytest.raises(SetupError) as caught:
        debian.bring(["g++", "python3.11-venv"])

    assert str(caught.value).endswith(
        "sudo apt-get update && "
        "sudo apt-get install -y --no-install-recommends g++ python3.11-venv"
    )
    assert commands == []


def test_without_apt_the_missing_packages_are_named(machine: Machine) -> None:
    machine(programs=set(), root=True)

    with pytest.raises(SetupError, match=r"Debian packages.*: g\+\+$"):
        debian.bring(["g++"])


def test_set_up_goes_on_without_a_browser(
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine(programs={"apt-get"}, root=False)
    lacking = ["chromium-headless-shell"]
    monkeypatch.setattr(debian, "for_browser_tests", lambda: lacking)

    debian.bring_browser()

    said = capsys.readouterr().out
    assert "Browser tests" in said
    assert "--no-install-recommends chromium-headless-shell" in said


def test_root_installs_what_is_missing(machine: Machine) -> None:
    commands = machine(programs={"apt-get"}, root=True)

    debian.bring(["g++", "libgomp1"])

    assert commands[-1][-2:] == ["g++", "libgomp1"]


def test_nothing_missing_does_nothing(machine: Machine) -> None:
    commands = machine(programs={"apt-get"}, root=True)

    debian.bring([])

    assert commands == []
