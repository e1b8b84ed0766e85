"""llama.cpp compiled for this CPU: the wheel, its cache, and its installation.

Only its libraries are compiled, by the binding's own build with llama.cpp's own
CMakeLists.txt. A build that was interrupted continues; the finished wheel is kept in
the user's cache.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bootstrap.commands import (
    CONSTRAINTS,
    PIP,
    PYTHON,
    SetupError,
    run,
    say,
    site_packages,
)
from bootstrap.progress import Progress, read_state, write_state

BINDING = "llama-cpp-python"
# The libraries that the binding loads, and nothing else: 136 files instead of 193.
# With MTMD_VIDEO an upload that is not a picture would be passed to ffmpeg.
CMAKE_ARGS = (
    "-DBUILD_SHARED_LIBS=ON -DLLAMA_BUILD_MTMD=ON -DMTMD_VIDEO=OFF "
    "-DLLAMA_BUILD_COMMON=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_TESTS=OFF "
    "-DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF "
    "-DCMAKE_INSTALL_LIBDIR=llama_cpp/lib -DCMAKE_INSTALL_INCLUDEDIR=llama_cpp/include "
    "-DCMAKE_INSTALL_RPATH=$ORIGIN -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON"
)
# GCC 12 omits most of the tile configuration that AMX then loads, and llama.cpp crashes
# at the first prompt to a quantised model. Without AMX it uses AVX-512.
NO_AMX = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"


class Build(NamedTuple):
    """What to compile, and the cache folder for this machine."""

    version: str
    cmake_args: str
    flags: str
    folder: Path

    @property
    def key(self) -> str:
        return self.folder.name

    @property
    def log(self) -> Path:
        return self.folder / "build.log"

    def wheel(self) -> Path | None:
        return next(self.folder.glob("*.whl"), None)


def pinned_version(constraints: str, name: str) -> str:
    found = re.search(rf"^{re.escape(name)}==(\S+)", constraints, re.MULTILINE)
    if not found:
        raise SetupError(f"constraints.txt has no version of {name}: add {name}==...")
    return found[1]


def cpu_identity(cpuinfo: str) -> str:
    """Model and features of the first core: native code crashes on other CPUs."""
    fields = r"^(?:model name|flags|Features|CPU implementer|CPU part)\s*:.*"
    return "\n".join(re.findall(fields, cpuinfo.partition("\n\n")[0], re.MULTILINE))


def build_for(constraints: str, cpuinfo: str, env: Mapping[str, str]) -> Build:
    version = pinned_version(constraints, BINDING)
    cmake_args = f"{CMAKE_ARGS} {env.get('CMAKE_ARGS', '')}".strip()
    flags = NO_AMX if " amx_tile" in cpuinfo else ""
    system = (platform.machine(), *platform.libc_ver())
    facts = "\n".join((version, cmake_args, flags, cpu_identity(cpuinfo), *system))
    key = hashlib.sha256(facts.encode()).hexdigest()[:12]
    cache = Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Build(version, cmake_args, flags, cache / "edge-vl/wheels" / key)


@contextmanager
def alone(build: Build) -> Iterator[None]:
    """While this block runs, no other set-up compiles or installs this build."""
    build.folder.mkdir(parents=True, exist_ok=True)
    with (build.folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another set-up is compiling llama.cpp; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def bring_wheel(build: Build, on_progress: Callable[[Progress], None]) -> Path:
    """The wheel for this CPU: from the cache, else compiled now."""
    with alone(build):
        return build.wheel() or _compile(build, on_progress)


def is_installed(build: Build) -> bool:
    state = read_state()
    is_this = (state.get("build"), state.get("state")) == (build.key, "installed")
    return is_this and (site_packages() / "llama_cpp").exists()


def _compile(build: Build, on_progress: Callable[[Progress], None]) -> Path:
    partial = build.folder / "partial"
    shutil.rmtree(partial, ignore_errors=True)  # left by a killed build
    partial.mkdir()
    # /tmp may be small or in memory, and a killed build would leave files there.
    env = {**os.environ, "CMAKE_ARGS": build.cmake_args, "TMPDIR": str(partial)}
    for name in ("CFLAGS", "CXXFLAGS"):
        env[name] = f"{build.flags} {env.get(name, '')}".strip()
    env.pop("SOURCE_DATE_EPOCH", None)  # with it, ggml silently omits native code
    began = 0.0  # of the compiler, behind the download
    with build.log.open("w") as log:

        def on_line(line: str) -> None:
            nonlocal began
            log.write(line)
            log.flush()
            # ninja's line, like `[12/136] Building ...`
            if found := re.match(r"\s*\[(\d+)/(\d+)\] ", line):
                began = began or time.monotonic()
                passed_s = round(time.monotonic() - began, 1)
                on_progress(Progress(int(found[1]), int(found[2]), passed_s))

        source = _bring_source(build, partial, env)
        failure = f"llama.cpp did not compile; the whole log is {build.log}"
        words = ["wheel", "-v", "--no-deps", "--no-cache-dir", "-w", partial]
        for setting in (
            "cmake.source-dir=vendor/llama.cpp",
            f"build-dir={build.folder / 'build'}",  # what an interrupted build has done
            # Without ninja, make would be used, which compiles one file at a time.
            "ninja.make-fallback=false",
        ):
            words.append(f"--config-settings={setting}")
        run(*PIP, *words, source, failure=failure, env=env, on_line=on_line)
    (wheel,) = partial.glob("*.whl")
    wheel = wheel.replace(build.folder / wheel.name)  # atomic
    for folder in (partial, source, build.folder / "build"):
        shutil.rmtree(folder)
    return wheel


def _bring_source(build: Build, partial: Path, env: Mapping[str, str]) -> Path:
    """The unpacked sources, always in the same folder: objects depend on its name."""
    source = build.folder / "source"
    if not source.exists():
        failure = "pip could not download the sources of llama.cpp; see above."
        words = ["download", "--no-deps", "--no-cache-dir", "--no-binary", BINDING]
        words += ["-d", str(partial), f"{BINDING}=={build.version}"]
        run(*PIP, *words, failure=failure, env=env)
        (archive,) = partial.glob("*.tar.gz")
        failure = f"{archive} could not be unpacked; see above."
        run("tar", "xf", archive, "-C", partial, failure=failure)
        (unpacked,) = partial.glob("llama_cpp_python-*/")
        unpacked.rename(source)
    return source


def install(build: Build) -> None:
    """Install the cached wheel, in one step for a process that starts meanwhile.

    Raises SetupError when the libraries do not load here; then nothing has changed.
    """
    site, wheel = site_packages(), build.wheel()
    if wheel is None:
        raise SetupError("The compiled llama.cpp has vanished: try again.")
    with alone(build), tempfile.TemporaryDirectory(dir=site, prefix=".llama-") as name:
        if is_installed(build):  # by another set-up
            return
        folder = Path(name)
        try:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder)
        except zipfile.BadZipFile:
            raise SetupError(f"{wheel} is damaged: delete it and try again.") from None
        (info,) = folder.glob("*.dist-info")
        failure = "pip could not install what llama.cpp requires; see above."
        needs = _requirements((info / "METADATA").read_text())
        run(*PIP, "install", "-q", "-c", CONSTRAINTS, *needs, failure=failure)
        failure = f"llama.cpp does not load here: delete {build.folder} and try again."
        env = {**os.environ, "PYTHONPATH": str(folder)}
        run(PYTHON, "-c", "import llama_cpp", failure=failure, env=env)
        remove()
        info.rename(site / info.name)
        (folder / "llama_cpp").rename(site / "llama_cpp")  # last: now it is there
        write_state(build.key, state="installed")


def remove() -> None:
    """Remove it: the one that is installed may be of another version or CPU."""
    site = site_packages()
    with tempfile.TemporaryDirectory(dir=site, prefix=".llama-") as old:
        for path in (site / "llama_cpp", *site.glob("llama_cpp_python-*.dist-info")):
            if path.exists():
                path.rename(Path(old, path.name))


def _requirements(metadata: str) -> list[str]:
    """The packages that a wheel needs, without those of its extras."""
    found = re.findall(r"^Requires-Dist: (.*)$", metadata, re.MULTILINE)
    return [one for one in found if "extra ==" not in one]
