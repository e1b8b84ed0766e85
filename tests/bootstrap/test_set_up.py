"""Set-up decides what to do."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bootstrap import __main__ as setup
from bootstrap import beside, llama_cpp
from bootstrap.commands import ROOT, SetupError, run
from bootstrap.progress import Progress
from tests.bootstrap.conftest import Machine


def test_an_old_python_reaches_the_version_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for source in (ROOT / "bootstrap").glob("*.py"):
        ast.parse(source.read_text(), feature_version=(3, 8))

    monkeypatch.setattr(setup, "OLDEST_PYTHON", (99, 0))
    monkeypatch.setattr(setup, "set_up", pytest.fail)
    monkeypatch.setattr(sys, "argv", ["bootstrap", "run"])

    assert setup.main() == 1
    assert "PYTHON=python3" in capsys.readouterr().err


def test_a_bare_python_is_enough() -> None:
    for source in (ROOT / "bootstrap").glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            rooms = {name.partition(".")[0] for name in names}
            assert rooms <= {*sys.stdlib_module_names, "bootstrap"}, source


def test_promtool_is_optional_and_needs_no_root(
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    commands = machine(programs={"apt-get"}, root=False)
    setup.bring_promtool()
    [[shell, script, folder]] = commands
    assert shell == "sh"
    assert Path(script).exists()
    assert folder == str(setup.VENV / "bin")

    def refuse(*_: object, failure: str) -> None:
        raise SetupError(failure)

    monkeypatch.setattr(setup, "run", refuse)
    setup.bring_promtool()
    said = capsys.readouterr().out
    assert "Alert rules are not tested here yet" in said
    assert "sudo apt-get update" in said


def test_a_set_up_for_tests_can_serve_but_not_the_reverse() -> None:
    for_run = setup.wanted_stamp("run")
    for_test = setup.wanted_stamp("test")

    assert setup.is_fresh(for_run, for_run)
    assert setup.is_fresh(for_test, for_run)
    assert not setup.is_fresh(for_run, for_test)
    assert not setup.is_fresh({}, for_run)


@pytest.mark.parametrize("what", ["python", "inputs"])
def test_a_set_up_is_stale_when_its_inputs_change(what: str) -> None:
    stamp = setup.wanted_stamp("run")

    assert not setup.is_fresh({**stamp, what: "other"}, stamp)


def test_the_stamp_follows_pyproject_and_constraints(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    inputs = (tmp_path / "pyproject.toml", tmp_path / "constraints.txt")
    assert {path.name for path in inputs} < {path.name for path in setup.INPUTS}
    monkeypatch.setattr(setup, "INPUTS", inputs)
    for path in inputs:
        path.write_text("before")

    seen = [setup.wanted_stamp("run")]
    for path in inputs:
        path.write_text("after")
        seen.append(setup.wanted_stamp("run"))

    assert len({stamp["inputs"] for stamp in seen}) == 3


@pytest.mark.parametrize("text", [None, "", "{"])
def test_an_unreadable_stamp_is_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None
) -> None:
    monkeypatch.setattr(setup, "STAMP", tmp_path / "stamp.json")
    if text is not None:
        (tmp_path / "stamp.json").write_text(text)

    assert setup.read_stamp() == {}


def test_a_service_does_not_wait_for_the_compiler(
    monkeypatch: pytest.MonkeyPatch, venv: Path, build: llama_cpp.Build
) -> None:
    started: list[object] = []
    monkeypatch.setattr(beside, "start", lambda *args: started.append(args))
    monkeypatch.setattr(llama_cpp, "bring_wheel", pytest.fail)

    setup.look_after_llama_cpp(build, is_service=False)
    assert started == []  # nothing would keep it running

    setup.look_after_llama_cpp(build, is_service=True)
    assert started == [(build, "install")]


def test_a_service_does_not_load_llama_cpp_of_another_cpu(
    monkeypatch: pytest.MonkeyPatch, venv: Path, build: llama_cpp.Build
) -> None:
    (venv / "llama_cpp").mkdir()
    monkeypatch.setattr(beside, "start", lambda *_: None)

    setup.look_after_llama_cpp(build, is_service=True)

    assert not (venv / "llama_cpp").exists()


def test_progress_is_shown_at_every_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    for n_done in range(1, 137):
        beside.show(Progress(n_done, 136, 2.0 * n_done))

    lines = capsys.readouterr().out.split("\n")[:-1]
    assert len(lines) == 10
    assert lines[4] == "[setup] llama.cpp: 50 % compiled, about 3 min left here"


def test_a_failing_command_shows_its_last_lines(
    capfd: pytest.CaptureFixture[str],
) -> None:
    seen: list[str] = []
    with pytest.raises(SetupError, match="do this next"):
        script = "for i in $(seq 50); do echo line $i; done; exit 3"
        run("sh", "-c", script, failure="do this next", on_line=seen.append)

    shown = capfd.readouterr().err.split("\n")
    assert len(seen) == 50
    assert shown[-2] == "line 50"
    assert "line 10" not in shown


def test_the_command_replaces_the_set_up(
    monkeypatch: pytest.MonkeyPatch, build: llama_cpp.Build
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(setup, "set_up", lambda *_: None)
    monkeypatch.setattr(setup, "look_after_llama_cpp", lambda *_: None)
    monkeypatch.setattr(
        setup,
        "os",
        SimpleNamespace(environ={}, execvp=lambda _, words: ran.append(words)),
    )
    monkeypatch.setattr(sys, "argv", ["bootstrap", "run", "edge", "up", "--port", "1"])

    assert setup.main() == 0
    assert ran == [["edge", "up", "--port", "1"]]
