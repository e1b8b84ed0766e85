"""Debian packages: which are missing, and their installation as root."""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
import shutil
import subprocess
import sys

from bootstrap.commands import VENV, SetupError, run, say

APT_INSTALL = "apt-get install -y --no-install-recommends"
# The first takes half of the others' processor time.
BROWSERS = ("chromium-headless-shell", "chromium", "google-chrome")
WITHOUT_BROWSER = "Browser tests need a Chromium and its fonts; all others run."


def for_venv() -> list[str]:
    if (VENV / "bin/pip").exists() or importlib.util.find_spec("ensurepip"):
        return []
    return ["python{}.{}-venv".format(*sys.version_info)]


def for_llama_cpp(is_compiled: bool) -> list[str]:
    """What compiling it takes, or running it."""
    if not is_compiled:
        has_compiler = any(map(shutil.which, ("c++", "g++", "clang++")))
        return [] if has_compiler else ["g++"]
    return [] if ctypes.util.find_library("gomp") else ["libgomp1"]


def for_browser_tests() -> list[str]:
    lacking = []
    best, *others = BROWSERS
    is_enough = os.geteuid() != 0 and any(map(shutil.which, others))
    if not shutil.which(best) and not is_enough:
        lacking.append(best)
    fonts = "fc-list :lang=zh | grep -q . || dpkg-query -L fonts-noto-cjk"
    if subprocess.run(fonts, shell=True, capture_output=True).returncode:
        lacking.append("fonts-noto-cjk")  # without it Chinese is shown as empty boxes
    return lacking


def how_to_install(packages: list[str], has_apt: bool) -> str:
    names = " ".join(packages)
    if has_apt:
        return f"Install this first: sudo apt-get update && sudo {APT_INSTALL} {names}"
    return f"Install what your system has for these Debian packages first: {names}"


def bring(packages: list[str]) -> None:
    """Install the packages as root. Raises SetupError, which says how to, when this is
    not root or the installation fails."""
    if not packages:
        return
    has_apt = shutil.which("apt-get") is not None
    if not has_apt or os.geteuid() != 0:
        raise SetupError(how_to_install(packages, has_apt))
    say(f"Installing Debian packages: {', '.join(packages)}.")
    # A failing source may not matter; if it does, the installation fails.
    subprocess.run(["apt-get", "update"], capture_output=True)
    failure = f"apt-get could not install {' '.join(packages)}; see above."
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(*APT_INSTALL.split(), *packages, failure=failure, env=env)


def bring_browser() -> None:
    """Install what browser tests need, each package if it can be: the others do
    without."""
    for package in for_browser_tests():
        try:
            bring([package])
        except SetupError as error:
            say(f"{WITHOUT_BROWSER} {error}")
