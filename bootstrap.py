"""Sets up a working .venv on a bare Debian or Ubuntu machine with python3 and make.

`python3 bootstrap.py run` installs what serving needs, `test` adds the test tools,
Chromium and promtool. Each step checks first and does only what is missing. It handles
no models, servers or registries: pip is used as this machine configures it.
"""

from __future__ import annotations  # so that an old Python reaches the version check

import argparse
import ctypes.util
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT
from typing import Any, NamedTuple

OLDEST_PYTHON = (3, 11)
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin/python"
PIP = (PYTHON, "-m", "pip", "--disable-pip-version-check")
STAMP = VENV / "edge-vl-setup.json"
CONSTRAINTS = ROOT / "constraints.txt"
# A change in any of these makes a finished set-up stale.
INPUTS = (ROOT / "pyproject.toml", CONSTRAINTS, Path(__file__))
SERVING = ["ui", "engine", "llama", "local"]
EXTRAS = {"run": SERVING, "test": [*SERVING, "bench", "test"]}
APT_INSTALL = "apt-get install -y --no-install-recommends"
BINDING = "llama-cpp-python"
BRING_PROMTOOL = ROOT / "benchmarks/monitoring/bring_promtool.sh"
# Otherwise an upload that is not a picture is passed to ffmpeg, if that is on the PATH.
CMAKE_ARGS = "-DMTMD_VIDEO=OFF"
# GCC 12 omits most of the tile configuration that AMX then loads, and llama.cpp crashes
# at the first prompt to a quantised model. Without AMX it uses AVX-512.
NO_AMX = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"
WITHOUT_BROWSER = "Browser tests cannot run here yet; all others can."
WITHOUT_PROMTOOL = "Alert rules are not tested here yet. Try: sudo apt-get update"


class SetupError(Exception):
    """Set-up cannot continue; the text says what to do next."""


class NativeBuild(NamedTuple):
    """What to compile, and the cache folder of the wheel for this machine."""

    version: str
    cmake_args: str
    flags: str
    folder: Path

    def wheel(self) -> Path | None:
        return next(self.folder.glob("*.whl"), None)


def say(text: str) -> None:
    print(f"[setup] {text}", flush=True)


def run(
    *command: object,
    failure: str,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] = lambda line: None,
) -> None:
    """Run a command without output; if it fails, show its last 40 lines and stop."""
    tail: deque[str] = deque(maxlen=40)
    words = [str(word) for word in command]
    with subprocess.Popen(
        words, env=env, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, errors="replace"
    ) as process:
        for line in process.stdout or ():
            tail.append(line)
            on_line(line)
    if process.returncode:
        print("\n", *tail, sep="", end="", file=sys.stderr)
        raise SetupError(failure)


def missing_packages(test: bool, build_due: bool) -> tuple[list[str], list[str]]:
    """Missing Debian packages: the required ones, and those of the browser."""
    required, browser = [], []
    if not (VENV / "bin/pip").exists() and not importlib.util.find_spec("ensurepip"):
        required.append("python{}.{}-venv".format(*sys.version_info))
    if build_due and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        required.append("g++")
    if not build_due and not ctypes.util.find_library("gomp"):
        required.append("libgomp1")  # part of g++, but a cached wheel needs it too
    names = ("chromium", "chromium-browser", "google-chrome")
    if test and not any(map(shutil.which, names)):
        browser.append("chromium")
    fonts = "fc-list :lang=zh | grep -q . || dpkg-query -L fonts-noto-cjk"
    if test and subprocess.run(fonts, shell=True, capture_output=True).returncode:
        browser.append("fonts-noto-cjk")  # without it Chinese is shown as empty boxes
    return required, browser


def how_to_install(packages: list[str], has_apt: bool) -> str:
    names = " ".join(packages)
    if has_apt:
        return f"Install this first: sudo apt-get update && sudo {APT_INSTALL} {names}"
    return f"Install what your system has for these Debian packages first: {names}"


def bring_packages(required: list[str], browser: list[str]) -> None:
    """Install what is missing as root; else say how, and stop if it is required."""
    lacking = required + browser
    has_apt = shutil.which("apt-get") is not None
    if lacking and not (has_apt and os.geteuid() == 0):
        if required:
            raise SetupError(how_to_install(lacking, has_apt))
        say(f"{WITHOUT_BROWSER} {how_to_install(lacking, has_apt)}")
    elif lacking:
        say(f"Installing Debian packages: {', '.join(lacking)}.")
        # A failing source may not matter; if it does, the installation fails.
        subprocess.run(["apt-get", "update"], capture_output=True)
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for package in lacking:
            try:
                failure = f"apt-get could not install {package}; see above."
                run(*APT_INSTALL.split(), package, failure=failure, env=env)
            except SetupError as error:
                if package in required:
                    raise
                say(f"{WITHOUT_BROWSER} {error}")


def bring_promtool() -> None:
    """Download promtool, which tests the alert rules; all other tests do without."""
    try:
        run("sh", BRING_PROMTOOL, VENV / "bin", failure=WITHOUT_PROMTOOL)
    except SetupError as error:
        say(str(error))


def pinned_version(constraints: str, name: str) -> str:
    found = re.search(rf"^{re.escape(name)}==(\S+)", constraints, re.MULTILINE)
    if not found:
        raise SetupError(f"constraints.txt has no version of {name}: add {name}==...")
    return found[1]


def cpu_identity(cpuinfo: str) -> str:
    """Model and features of the first core: native code crashes on other CPUs."""
    fields = r"^(?:model name|flags|Features|CPU implementer|CPU part)\s*:.*"
    return "\n".join(re.findall(fields, cpuinfo.partition("\n\n")[0], re.MULTILINE))


def native_build(constraints: str, cpuinfo: str, env: Mapping[str, str]) -> NativeBuild:
    version = pinned_version(constraints, BINDING)
    cmake_args = f"{CMAKE_ARGS} {env.get('CMAKE_ARGS', '')}".strip()
    flags = NO_AMX if " amx_tile" in cpuinfo else ""
    system = (platform.machine(), *platform.libc_ver())
    facts = "\n".join((version, cmake_args, flags, cpu_identity(cpuinfo), *system))
    key = hashlib.sha256(facts.encode()).hexdigest()[:12]
    cache = Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return NativeBuild(version, cmake_args, flags, cache / "edge-vl/wheels" / key)


def native_wheel(build: NativeBuild) -> Path:
    """The binding's wheel for this CPU: from the cache, else compiled now."""
    build.folder.mkdir(parents=True, exist_ok=True)
    with (build.folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another set-up is compiling llama.cpp; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        return build.wheel() or compile_wheel(build)


def compile_wheel(build: NativeBuild) -> Path:
    say("Compiling llama.cpp for this CPU: 4-8 minutes on 2 cores, only this once.")
    partial = build.folder / "partial"
    shutil.rmtree(partial, ignore_errors=True)  # left by a killed build
    partial.mkdir()
    # /tmp may be small or in memory, and a killed build would leave files there.
    env = {**os.environ, "CMAKE_ARGS": build.cmake_args, "TMPDIR": str(partial)}
    for name in ("CFLAGS", "CXXFLAGS"):
        env[name] = f"{build.flags} {env.get(name, '')}".strip()
    env.pop("SOURCE_DATE_EPOCH", None)  # with it, ggml silently omits native code
    words = ["wheel", "-v", "--no-deps", "--no-cache-dir", "--no-binary", BINDING]
    words += ["-w", str(partial), f"{BINDING}=={build.version}"]
    # Without ninja, make would be used, which compiles one file at a time.
    words.append("--config-settings=ninja.make-fallback=false")
    # One line that changes on a terminal, elsewhere a line per 10 %.
    shown, step, end = (0, 1, "\r") if sys.stdout.isatty() else (0, 10, "\n")
    with (build.folder / "build.log").open("w") as log:

        def on_line(line: str) -> None:
            nonlocal shown
            log.write(line)
            if (percent := ninja_percent(line, step)) > shown:
                print(f"[setup] compiling {percent:3} %", end=end, flush=True)
                shown = percent

        failure = f"llama.cpp did not compile; the whole log is {log.name}"
        run(*PIP, *words, failure=failure, env=env, on_line=on_line)
    (wheel,) = partial.glob("*.whl")
    wheel = wheel.replace(build.folder / wheel.name)  # atomic
    shutil.rmtree(partial)
    return wheel


def ninja_percent(line: str, step: int) -> int:
    """Percent done, by a line like `[12/215] Building ...`, rounded down to a step."""
    found = re.match(r"\s*\[(\d+)/(\d+)\] ", line)
    return 100 * int(found[1]) // int(found[2]) // step * step if found else 0


def install_packages(wheel: Path, extras: list[str]) -> None:
    say("Installing the Python packages; the first time takes a minute or two.")
    failure = "pip failed: correct what the lines above say, then try again."
    # By force: the installed one may have this version and another CPU.
    run(*PIP, "install", "-q", "--force-reinstall", "--no-deps", wheel, failure=failure)
    project = f"{ROOT}[{','.join(extras)}]"
    run(*PIP, "install", "-q", "-c", CONSTRAINTS, "-e", project, failure=failure)
    # nginx-config-builder pulls an enum for Python 2, which breaks tools that put
    # site-packages before the standard library; it works without.
    run(*PIP, "uninstall", "-q", "-y", "enum34", failure=failure)


def wanted_stamp(mode: str, build: NativeBuild) -> dict[str, Any]:
    """The contents of the stamp that marks a finished set-up."""
    inputs = b"\0".join(path.read_bytes() for path in INPUTS)
    return {
        "python": "{}.{}, {}".format(*sys.version_info[:2], VENV),
        "inputs": hashlib.sha256(inputs).hexdigest(),
        "wheel": build.folder.name,
        "extras": EXTRAS[mode],
    }


def read_stamp() -> dict[str, Any]:
    try:
        return dict(json.loads(STAMP.read_text()))
    except (OSError, ValueError):  # a full disk may have truncated it
        return {}


def is_fresh(stamp: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether the set-up of this stamp has everything that is wanted, or more."""
    enough = set(wanted["extras"]) <= set(stamp.get("extras", []))
    return enough and {**stamp, "extras": wanted["extras"]} == wanted


def set_up(mode: str) -> None:
    """Do what is missing for `mode`; on return `.venv` is ready."""
    started = time.monotonic()
    cpuinfo = Path("/proc/cpuinfo").read_text()
    build = native_build(CONSTRAINTS.read_text(), cpuinfo, os.environ)
    wanted, stamp = wanted_stamp(mode, build), read_stamp()
    fresh = is_fresh(stamp, wanted) and PYTHON.exists() and (VENV / "bin/edge").exists()
    build_due = not fresh and not build.wheel()
    bring_packages(*missing_packages(mode == "test", build_due))
    if not fresh:
        # Not sys.executable itself: it may be in the .venv that is cleared here.
        python = os.path.realpath(sys.executable)
        clear = ["--clear"] if stamp and stamp["python"] != wanted["python"] else []
        failure = "Could not make .venv: delete that folder and try again."
        run(python, "-m", "venv", VENV, *clear, failure=failure)
        install_packages(native_wheel(build), wanted["extras"])
        failure = f"llama_cpp does not load: delete {build.folder} and try again."
        run(PYTHON, "-c", "import llama_cpp", failure=failure)
        STAMP.write_text(json.dumps(wanted, indent=1))
    if mode == "test" and not (VENV / "bin/promtool").exists():
        bring_promtool()
    say(f"Ready in {time.monotonic() - started:.1f} s.")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("mode", choices=EXTRAS, help="what the .venv is for")
    try:
        if sys.version_info < OLDEST_PYTHON:
            raise SetupError("Python 3.11 or newer needed: make PYTHON=python3.12 run")
        set_up(parser.parse_args().mode)
    except (SetupError, OSError) as error:
        print(f"[setup] {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\n[setup] Stopped; run it again to continue.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
