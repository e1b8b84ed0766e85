"""The wheel of llama.cpp: when it is compiled again, and how it is installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bootstrap import __main__ as setup
from bootstrap import beside, debian, llama_cpp, progress
from bootstrap.commands import ROOT, SetupError
from bootstrap.llama_cpp import Build, build_for
from bootstrap.progress import Progress
from tests.bootstrap.conftest import CONSTRAINTS, CPUINFO
from tests.conftest import wait_for

WHEEL = "llama_cpp_python-0.3.36-py3-none-linux_x86_64.whl"
METADATA = """\
Requires-Dist: numpy>=1.20.0
Requires-Dist: jinja2>=2.11.3
Provides-Extra: server
Requires-Dist: uvicorn>=0.22.0; extra == "server"
"""


@pytest.fixture
def wheel(build: Build) -> Path:
    """A wheel whose package says which file it is."""
    build.folder.mkdir(parents=True)
    path = build.folder / WHEEL
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("llama_cpp/__init__.py", "print('loaded')")
        archive.writestr("llama_cpp_python-0.3.36.dist-info/METADATA", METADATA)
    return path


def nothing(_: Progress) -> None:
    pass


def test_the_version_comes_from_the_constraints() -> None:
    assert llama_cpp.pinned_version(CONSTRAINTS, "llama-cpp-python") == "0.3.36"
    with pytest.raises(SetupError, match=r"constraints\.txt.*gguf"):
        llama_cpp.pinned_version(CONSTRAINTS, "gguf")


def test_a_wheel_is_reused_only_on_an_equal_machine() -> None:
    env = {"XDG_CACHE_HOME": "/cache"}

    def folder(constraints: str = CONSTRAINTS, cpu: str = CPUINFO, **more: str) -> Path:
        return build_for(constraints, cpu, env | more).folder

    here = folder()

    assert here.parent == Path("/cache/edge-vl/wheels")
    assert here == folder(cpu=CPUINFO.replace("2599.998", "800.000"))
    assert here != folder(cpu=CPUINFO.replace("avx2", "avx2 avx512f"))
    assert here != folder(cpu=CPUINFO.replace("Some", "Other"))
    assert here != folder(CONSTRAINTS.replace("0.3.36", "0.3.37"))
    assert here != folder(CMAKE_ARGS="-DGGML_BLAS=ON")


def test_cmake_arguments_of_the_user_are_added() -> None:
    build = build_for(CONSTRAINTS, CPUINFO, {"CMAKE_ARGS": "-DX=1"})

    assert "-DMTMD_VIDEO=OFF" in build.cmake_args
    assert build.cmake_args.endswith(" -DX=1")


def test_a_cpu_is_known_by_the_features_of_its_first_core() -> None:
    identity = llama_cpp.cpu_identity(CPUINFO)

    assert "Some CPU" in identity
    assert "avx2" in identity
    assert "MHz" not in identity
    assert llama_cpp.cpu_identity("processor : 0\nFeatures : asimd") != ""


def test_a_cached_wheel_is_not_compiled_again(
    monkeypatch: pytest.MonkeyPatch, build: Build, wheel: Path
) -> None:
    monkeypatch.setattr(llama_cpp, "run", pytest.fail)

    assert llama_cpp.bring_wheel(build, nothing) == wheel


def test_an_interrupted_build_is_continued_and_a_finished_one_leaves_its_wheel(
    monkeypatch: pytest.MonkeyPatch, build: Build
) -> None:
    seen: list[Progress] = []
    downloads: list[object] = []
    is_killed = True

    def run(*words: object, on_line=None, **_: object) -> None:
        arguments = [str(word) for word in words]
        if "download" in arguments:
            downloads.append(words)
            (build.folder / "partial/source.tar.gz").touch()
        if "xf" in arguments:
            (build.folder / "partial/llama_cpp_python-0.3.36").mkdir()
        if "wheel" in arguments:
            assert arguments[-1] == str(build.folder / "source")
            assert f"--config-settings=build-dir={build.folder}/build" in arguments
            (build.folder / "build").mkdir(exist_ok=True)
            on_line("  [34/136] Building CXX object a.o\n")
            on_line("see [3/4] for more\n")
            if is_killed:
                raise SetupError("stopped")
            (build.folder / "partial" / WHEEL).touch()

    monkeypatch.setattr(llama_cpp, "run", run)
    with pytest.raises(SetupError):
        llama_cpp.bring_wheel(build, seen.append)
    assert (seen[0].n_done, seen[0].n_files, seen[0].percent) == (34, 136, 25)
    is_killed = False

    assert llama_cpp.bring_wheel(build, nothing) == build.folder / WHEEL
    assert len(downloads) == 1
    left = {path.name for path in build.folder.iterdir()}
    assert left == {WHEEL, "build.log", "lock"}


def test_minutes_left_follow_from_the_speed_of_this_machine() -> None:
    assert Progress(34, 136, 100).minutes_left == 6
    assert Progress(135, 136, 400).minutes_left == 1


def test_an_installation_is_one_step_for_other_processes(
    monkeypatch: pytest.MonkeyPatch, venv: Path, build: Build, wheel: Path
) -> None:
    (venv / "llama_cpp").mkdir()
    (venv / "llama_cpp/old.py").touch()
    (venv / "llama_cpp_python-0.3.35.dist-info").mkdir()
    commands: list[tuple[str, ...]] = []

    def run(*words: object, **_: object) -> None:
        assert (venv / "llama_cpp/old.py").exists()  # nothing has changed yet
        commands.append(tuple(str(word) for word in words))

    monkeypatch.setattr(llama_cpp, "run", run)
    llama_cpp.install(build)

    assert commands[0][-2:] == ("numpy>=1.20.0", "jinja2>=2.11.3")
    assert commands[1][-1] == "import llama_cpp"
    assert {path.name for path in venv.iterdir()} == {
        "llama_cpp",
        "llama_cpp_python-0.3.36.dist-info",
    }
    assert not (venv / "llama_cpp/old.py").exists()
    assert llama_cpp.is_installed(build)


def test_libraries_that_do_not_load_change_nothing(
    monkeypatch: pytest.MonkeyPatch, venv: Path, build: Build, wheel: Path
) -> None:
    (venv / "llama_cpp").mkdir()

    def run(*words: object, failure: str, **_: object) -> None:
        if words[-1] == "import llama_cpp":
            raise SetupError(failure)

    monkeypatch.setattr(llama_cpp, "run", run)
    with pytest.raises(SetupError, match="does not load here"):
        llama_cpp.install(build)

    assert [path.name for path in venv.iterdir()] == ["llama_cpp"]
    assert not llama_cpp.is_installed(build)


def test_a_failed_compilation_is_told_and_remembered(
    monkeypatch: pytest.MonkeyPatch,
    venv: Path,
    build: Build,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> Path:
        raise SetupError("There is no disk.")

    monkeypatch.setattr(llama_cpp, "bring_wheel", fail)
    monkeypatch.setattr(beside, "lower_priority", lambda: None)
    beside.compile_and_install(build)

    assert "nothing waits for it. There is no disk." in capsys.readouterr().out
    state = progress.read_state()
    assert (state["state"], state["reason"]) == ("failed", "There is no disk.")


def test_a_damaged_wheel_does_not_stop_a_start(
    monkeypatch: pytest.MonkeyPatch,
    venv: Path,
    build: Build,
    wheel: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nor does a package that cannot be downloaded now."""
    monkeypatch.setattr(debian, "for_llama_cpp", lambda **_: [])
    whole = wheel.read_bytes()
    wheel.write_bytes(whole[:-100])
    setup.look_after_llama_cpp(build, is_service=True)
    assert f"nothing waits for it. {wheel} is damaged" in capsys.readouterr().out

    def run(*_: object, failure: str, **__: object) -> None:
        raise SetupError(failure)

    wheel.write_bytes(whole)
    monkeypatch.setattr(llama_cpp, "run", run)
    setup.look_after_llama_cpp(build, is_service=True)
    assert "nothing waits for it. pip could not" in capsys.readouterr().out
    assert progress.read_state()["state"] == "failed"


SERVICE = """
import subprocess, sys
code = '''
import os, subprocess, threading
from bootstrap.beside import end_with
threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
compiler = subprocess.Popen(["sleep", "600"])
print(os.getpid(), compiler.pid, flush=True)
compiler.wait()
'''
subprocess.Popen([sys.executable, "-c", code], start_new_session=True).wait()
"""


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_compilation_ends_with_the_service_however_that_ends() -> None:
    service = subprocess.Popen(
        [sys.executable, "-c", SERVICE], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert service.stdout
    pids = [int(word) for word in service.stdout.readline().split()]
    assert all(map(is_running, pids))
    os.kill(service.pid, signal.SIGKILL)
    service.wait()
    service.stdout.close()
    wait_for(lambda: not any(map(is_running, pids)))
