"""Set-up decides what to do; no test runs pip, apt-get or a compiler."""

import ast
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "bootstrap.py"
CONSTRAINTS = "numpy==2.4.6\nllama-cpp-python==0.3.36\nllama-cpp==9\n"
CPUINFO = """\
processor\t: 0
model name\t: Some CPU
cpu MHz\t\t: 2599.998
flags\t\t: fpu sse4_2 avx2

processor\t: 1
model name\t: Some CPU
flags\t\t: fpu
"""


@pytest.fixture
def bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", SOURCE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def machine(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., list[list[str]]]:
    """Pretends to be another machine; returns the list of commands it is given."""

    def pretend(*, programs: set[str], root: bool) -> list[list[str]]:
        commands: list[list[str]] = []

        def take(*words: object, **_: object) -> None:
            commands.append([str(word) for word in words])

        monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
        monkeypatch.setattr(bootstrap, "run", take)
        monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 0 if root else 1000)
        monkeypatch.setattr(
            bootstrap.shutil, "which", lambda name: name if name in programs else None
        )
        monkeypatch.setattr(bootstrap.subprocess, "run", lambda words, **_: take(words))
        return commands

    return pretend


def test_an_old_python_reaches_the_version_check(
    bootstrap: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ast.parse(SOURCE.read_text(), feature_version=(3, 8))

    monkeypatch.setattr(bootstrap, "OLDEST_PYTHON", (99, 0))
    monkeypatch.setattr(bootstrap, "set_up", pytest.fail)
    monkeypatch.setattr(sys, "argv", ["bootstrap.py", "run"])

    assert bootstrap.main() == 1
    assert "PYTHON=python3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "step", "percent"),
    [
        ("  [1/200] Building CXX object a.o\n", 1, 0),
        ("  [57/200] /usr/bin/c++ -O3 x.cpp\n", 1, 28),
        ("[57/200] Linking\n", 10, 20),
        ("[200/200] Linking\n", 10, 100),
        ("-- Configuring done\n", 1, 0),
        ("see [3/4] for more\n", 1, 0),
        ("[3/4]no space\n", 1, 0),
    ],
)
def test_progress_is_read_from_ninja(
    bootstrap: ModuleType, line: str, step: int, percent: int
) -> None:
    assert bootstrap.ninja_percent(line, step) == percent


def test_the_version_comes_from_the_constraints(bootstrap: ModuleType) -> None:
    assert bootstrap.pinned_version(CONSTRAINTS, "llama-cpp-python") == "0.3.36"
    with pytest.raises(bootstrap.SetupError, match=r"constraints\.txt.*gguf"):
        bootstrap.pinned_version(CONSTRAINTS, "gguf")


def test_a_wheel_is_reused_only_on_an_equal_machine(bootstrap: ModuleType) -> None:
    env = {"XDG_CACHE_HOME": "/cache"}

    def folder(constraints: str = CONSTRAINTS, cpu: str = CPUINFO, **more: str) -> Path:
        build = bootstrap.native_build(constraints, cpu, env | more)
        assert isinstance(build.folder, Path)
        return build.folder

    here = folder()

    assert here.parent == Path("/cache/edge-vl/wheels")
    assert here == folder(cpu=CPUINFO.replace("2599.998", "800.000"))
    assert here != folder(cpu=CPUINFO.replace("avx2", "avx2 avx512f"))
    assert here != folder(cpu=CPUINFO.replace("Some", "Other"))
    assert here != folder(CONSTRAINTS.replace("0.3.36", "0.3.37"))
    assert here != folder(CMAKE_ARGS="-DGGML_BLAS=ON")


def test_cmake_arguments_of_the_user_are_added(bootstrap: ModuleType) -> None:
    build = bootstrap.native_build(CONSTRAINTS, CPUINFO, {"CMAKE_ARGS": "-DX=1"})

    assert build.cmake_args == "-DMTMD_VIDEO=OFF -DX=1"


def test_a_cpu_is_known_by_the_features_of_its_first_core(
    bootstrap: ModuleType,
) -> None:
    identity = bootstrap.cpu_identity(CPUINFO)

    assert "Some CPU" in identity
    assert "avx2" in identity
    assert "MHz" not in identity
    assert bootstrap.cpu_identity("processor : 0\nFeatures : asimd") != ""


def test_a_compiler_is_required_only_for_a_build(
    bootstrap: ModuleType, machine: Callable[..., list[list[str]]]
) -> None:
    machine(programs=set(), root=False)

    assert "g++" in bootstrap.missing_packages(test=False, build_due=True)[0]
    assert "g++" not in bootstrap.missing_packages(test=False, build_due=False)[0]


def test_only_tests_need_a_chromium(
    bootstrap: ModuleType,
    machine: Callable[..., list[list[str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Nothing:
        returncode = 1

    machine(programs={"google-chrome"}, root=False)
    monkeypatch.setattr(bootstrap.subprocess, "run", lambda *_, **__: Nothing)

    browser = bootstrap.missing_packages(test=True, build_due=False)[1]
    assert browser == ["fonts-noto-cjk"]
    assert bootstrap.missing_packages(test=False, build_due=False)[1] == []


def test_without_root_the_exact_command_is_shown(
    bootstrap: ModuleType, machine: Callable[..., list[list[str]]]
) -> None:
    commands = machine(programs={"apt-get"}, root=False)

    with pytest.raises(bootstrap.SetupError) as caught:
        bootstrap.bring_packages(["g++"], ["chromium"])

    assert str(caught.value).endswith(
        "sudo apt-get update && "
        "sudo apt-get install -y --no-install-recommends g++ chromium"
    )
    assert commands == []


def test_without_apt_the_missing_packages_are_named(
    bootstrap: ModuleType, machine: Callable[..., list[list[str]]]
) -> None:
    machine(programs=set(), root=True)

    with pytest.raises(bootstrap.SetupError, match=r"Debian packages.*: g\+\+$"):
        bootstrap.bring_packages(["g++"], [])


def test_set_up_goes_on_without_a_browser(
    bootstrap: ModuleType,
    machine: Callable[..., list[list[str]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine(programs={"apt-get"}, root=False)

    bootstrap.bring_packages([], ["chromium"])

    said = capsys.readouterr().out
    assert "Browser tests" in said
    assert "--no-install-recommends chromium" in said


def test_root_installs_what_is_missing(
    bootstrap: ModuleType, machine: Callable[..., list[list[str]]]
) -> None:
    commands = machine(programs={"apt-get"}, root=True)

    bootstrap.bring_packages(["g++"], ["chromium"])

    assert [command[-1] for command in commands[1:]] == ["g++", "chromium"]


def test_promtool_is_optional_and_needs_no_root(
    bootstrap: ModuleType,
    machine: Callable[..., list[list[str]]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    commands = machine(programs={"apt-get"}, root=False)
    bootstrap.bring_promtool()
    [[shell, script, folder]] = commands
    assert shell == "sh"
    assert Path(script).exists()
    assert folder == str(bootstrap.VENV / "bin")

    def refuse(*_: object, failure: str) -> None:
        raise bootstrap.SetupError(failure)

    monkeypatch.setattr(bootstrap, "run", refuse)
    bootstrap.bring_promtool()
    said = capsys.readouterr().out
    assert "Alert rules are not tested here yet" in said
    assert "sudo apt-get update" in said


def test_a_complete_set_up_does_nothing(
    bootstrap: ModuleType, machine: Callable[..., list[list[str]]]
) -> None:
    commands = machine(programs={"apt-get"}, root=True)

    bootstrap.bring_packages([], [])

    assert commands == []


def test_a_set_up_for_tests_can_serve_but_not_the_reverse(
    bootstrap: ModuleType,
) -> None:
    build = bootstrap.native_build(CONSTRAINTS, CPUINFO, os.environ)
    for_run = bootstrap.wanted_stamp("run", build)
    for_test = bootstrap.wanted_stamp("test", build)

    assert bootstrap.is_fresh(for_run, for_run)
    assert bootstrap.is_fresh(for_test, for_run)
    assert not bootstrap.is_fresh(for_run, for_test)
    assert not bootstrap.is_fresh({}, for_run)


@pytest.mark.parametrize("what", ["python", "inputs", "wheel"])
def test_a_set_up_is_stale_when_its_inputs_change(
    bootstrap: ModuleType, what: str
) -> None:
    build = bootstrap.native_build(CONSTRAINTS, CPUINFO, os.environ)
    stamp = bootstrap.wanted_stamp("run", build)

    assert not bootstrap.is_fresh({**stamp, what: "other"}, stamp)


def test_the_stamp_follows_pyproject_and_constraints(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    build = bootstrap.native_build(CONSTRAINTS, CPUINFO, os.environ)
    inputs = (tmp_path / "pyproject.toml", tmp_path / "constraints.txt")
    assert {path.name for path in inputs} < {path.name for path in bootstrap.INPUTS}
    monkeypatch.setattr(bootstrap, "INPUTS", inputs)
    for path in inputs:
        path.write_text("before")

    seen = [bootstrap.wanted_stamp("run", build)]
    for path in inputs:
        path.write_text("after")
        seen.append(bootstrap.wanted_stamp("run", build))

    assert len({stamp["inputs"] for stamp in seen}) == 3


@pytest.mark.parametrize("text", [None, "", "{"])
def test_an_unreadable_stamp_is_ignored(
    bootstrap: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    text: str | None,
) -> None:
    monkeypatch.setattr(bootstrap, "STAMP", tmp_path / "stamp.json")
    if text is not None:
        (tmp_path / "stamp.json").write_text(text)

    assert bootstrap.read_stamp() == {}


def test_a_cached_wheel_is_not_compiled_again(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    env = {"XDG_CACHE_HOME": str(tmp_path)}
    build = bootstrap.native_build(CONSTRAINTS, CPUINFO, env)
    build.folder.mkdir(parents=True)
    wheel = build.folder / "llama_cpp_python-0.3.36-py3-none-linux_x86_64.whl"
    wheel.touch()
    monkeypatch.setattr(bootstrap, "compile_wheel", pytest.fail)

    assert bootstrap.native_wheel(build) == wheel


def test_a_failing_command_shows_its_last_lines(
    bootstrap: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []
    with pytest.raises(bootstrap.SetupError, match="do this next"):
        script = "for i in $(seq 50); do echo line $i; done; exit 3"
        bootstrap.run("sh", "-c", script, failure="do this next", on_line=seen.append)

    shown = capfd.readouterr().err.split("\n")
    assert len(seen) == 50
    assert shown[-2] == "line 50"
    assert "line 10" not in shown
