"""Another machine, pretended: no test runs pip, apt-get or a compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bootstrap import __main__, commands, debian, llama_cpp, progress

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

Machine = Callable[..., list[list[str]]]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """Pretends that `programs` are installed; returns the list of commands it gets."""

    def pretend(*, programs: set[str], root: bool) -> list[list[str]]:
        ran: list[list[str]] = []

        def take(*words: object, **_: object) -> None:
            ran.append([str(word) for word in words])

        for module in (__main__, debian, llama_cpp):
            monkeypatch.setattr(module, "run", take)
        monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
        monkeypatch.setattr(
            shutil, "which", lambda name: name if name in programs else None
        )
        monkeypatch.setattr(subprocess, "run", lambda words, **_: take(words))
        return ran

    return pretend


@pytest.fixture
def build(tmp_path: Path) -> llama_cpp.Build:
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    return llama_cpp.build_for(CONSTRAINTS, CPUINFO, env)


@pytest.fixture
def venv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty .venv instead of the real one. Returns the folder of its packages."""
    folder = tmp_path / ".venv"
    site = folder / "lib/python3.11/site-packages"
    site.mkdir(parents=True)
    for module in (__main__, commands, debian, progress):
        if hasattr(module, "VENV"):
            monkeypatch.setattr(module, "VENV", folder)
    monkeypatch.setattr(progress, "STATE", folder / "llama-cpp.json")
    return site
