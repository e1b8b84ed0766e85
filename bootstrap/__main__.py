"""`python3 -m bootstrap run|test [COMMAND ...]`: see the package."""

from __future__ import annotations  # so that an old Python reaches the version check

import argparse
import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from bootstrap import beside, debian, llama_cpp
from bootstrap.commands import (
    CONSTRAINTS,
    PIP,
    ROOT,
    VENV,
    SetupError,
    run,
    say,
    site_packages,
)
from bootstrap.llama_cpp import Build

OLDEST_PYTHON = (3, 11)
STAMP = VENV / "edge-vl-setup.json"
# A change in any of these makes a finished set-up stale.
INPUTS = (ROOT / "pyproject.toml", CONSTRAINTS, Path(__file__))
SERVING = ["ui", "engine", "local"]
EXTRAS = {"run": SERVING, "test": [*SERVING, "bench", "test", "video"]}
BRING_PROMTOOL = ROOT / "benchmarks/monitoring/bring_promtool.sh"
WITHOUT_PROMTOOL = "Alert rules are not tested here yet. Try: sudo apt-get update"
CHILDREN = {"compile": beside.compile_wheel, "install": beside.compile_and_install}


def wanted_stamp(mode: str) -> dict[str, Any]:
    """The contents of the stamp that marks a finished installation of packages."""
    inputs = b"\0".join(path.read_bytes() for path in INPUTS)
    return {
        "python": "{}.{}, {}".format(*sys.version_info[:2], VENV),
        "inputs": hashlib.sha256(inputs).hexdigest(),
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


def make_venv(stamp: dict[str, Any], wanted: dict[str, Any]) -> None:
    # Not sys.executable itself: it may be in the .venv that is cleared here.
    python = os.path.realpath(sys.executable)
    clear = ["--clear"] if stamp and stamp["python"] != wanted["python"] else []
    failure = "Could not make .venv: delete that folder and try again."
    run(python, "-m", "venv", VENV, *clear, failure=failure)


def install_packages(extras: list[str]) -> None:
    say("Installing the Python packages; the first time takes a minute.")
    failure = "pip failed: correct what the lines above say, then try again."
    project = f"{ROOT}[{','.join(extras)}]"
    run(*PIP, "install", "-q", "-c", CONSTRAINTS, "-e", project, failure=failure)
    # nginx-config-builder pulls an enum for Python 2, which breaks tools that put
    # site-packages before the standard library; it works without.
    if (site_packages() / "enum").exists():
        run(*PIP, "uninstall", "-q", "-y", "enum34", failure=failure)


def bring_promtool() -> None:
    """Download promtool, which tests the alert rules; all other tests do without."""
    try:
        run("sh", BRING_PROMTOOL, VENV / "bin", failure=WITHOUT_PROMTOOL)
    except SetupError as error:
        say(str(error))


def set_up(mode: str, build: Build) -> None:
    """Do what is missing for `mode`. On return `.venv` can serve; for `test` llama.cpp
    is installed too, compiled while pip and apt-get work."""
    wanted, stamp = wanted_stamp(mode), read_stamp()
    is_done = is_fresh(stamp, wanted) and (VENV / "bin/edge").exists()
    if not is_done:
        debian.bring(debian.for_venv())
        make_venv(stamp, wanted)
    compiler = None
    if mode == "test" and not llama_cpp.is_installed(build):
        debian.bring(debian.for_llama_cpp(is_compiled=build.wheel() is not None))
        if not build.wheel():
            say("Compiling llama.cpp for this CPU meanwhile, only this once.")
            compiler = beside.start(build, "compile")
    if not is_done:
        install_packages(wanted["extras"])
        STAMP.write_text(json.dumps(wanted, indent=1))
    if mode == "test":
        debian.bring_browser()
        if not (VENV / "bin/promtool").exists():
            bring_promtool()
        if compiler and compiler.wait():
            raise SetupError("llama.cpp is not compiled: see above, then try again.")
        if not llama_cpp.is_installed(build):
            llama_cpp.install(build)


def look_after_llama_cpp(build: Build, is_service: bool) -> None:
    """Installs llama.cpp from the cache, or compiles it while a service runs."""
    if llama_cpp.is_installed(build):
        return
    llama_cpp.remove()
    if build.wheel() and not debian.for_llama_cpp(is_compiled=True):
        with beside.optional(build):
            llama_cpp.install(build)
    elif is_service:
        say(
            "llama.cpp is compiled meanwhile, at low priority, only this once. "
            "How far it is: .venv/bin/edge doctor"
        )
        beside.start(build, "install")


def main() -> int:
    parser = argparse.ArgumentParser(prog="bootstrap")
    parser.add_argument("mode", choices=[*EXTRAS, *CHILDREN])
    parser.add_argument("command", nargs=argparse.REMAINDER, help="to run afterwards")
    try:
        if sys.version_info < OLDEST_PYTHON:
            raise SetupError("Python 3.11 or newer needed: make PYTHON=python3.12 run")
        arguments = parser.parse_args()
        cpuinfo = Path("/proc/cpuinfo").read_text()
        build = llama_cpp.build_for(CONSTRAINTS.read_text(), cpuinfo, os.environ)
        if child := CHILDREN.get(arguments.mode):
            child(build)
            return 0
        began = time.monotonic()
        set_up(arguments.mode, build)
        if arguments.mode == "run":
            look_after_llama_cpp(build, bool(arguments.command))
        say(f"Ready in {time.monotonic() - began:.1f} s.")
        if arguments.command:
            os.execvp(arguments.command[0], arguments.command)
    except (SetupError, OSError) as error:
        print(f"[setup] {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\n[setup] Stopped; run it again to continue.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
