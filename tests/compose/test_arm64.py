"""The same file builds images for arm64, which QEMU emulates: slowly, and only
with `make compose-test ARGS="-m slow"`."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.conftest import Report
from tests.compose.engine import BASES, STAND_INS, Engine, debian
from tests.compose.stack import copy_project, seconds_since

pytestmark = [pytest.mark.slow, pytest.mark.timeout(9000)]

FORMATS = Path("/proc/sys/fs/binfmt_misc")
QEMU = "/usr/bin/qemu-aarch64-static"
# The beginning of a program for arm64 (ELF), and which of its bits count. With F, QEMU
# is opened when it is registered, so containers need not have it.
ELF = r"\x7fELF\x02\x01\x01" + r"\x00" * 9 + r"\x02\x00\xb7\x00"
BITS = r"\xff" * 7 + r"\x00" + r"\xff" * 8 + r"\xfe\xff\xff\xff"


@pytest.fixture(scope="module")
def arm64() -> Iterator[None]:
    """A kernel that runs programs for arm64."""
    if not Path(QEMU).exists():
        install = ["apt-get", "-q", "install", "--yes", "--no-install-recommends"]
        subprocess.run([*install, "qemu-user-static"], check=True)
    if not (FORMATS / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "none", FORMATS], check=True)
    ours = FORMATS / "edge-vl-arm64"
    is_known = ours.exists() or (FORMATS / "qemu-aarch64").exists()
    if not is_known:
        rule = f":{ours.name}:M::{ELF}:{BITS}:{QEMU}:OCF"
        (FORMATS / "register").write_text(rule)
    yield
    if not is_known:
        ours.write_text("-1")


@pytest.fixture(scope="module")
def python_image(engine: Engine, arm64: None) -> str:
    """The base image for arm64, or a stand-in. What is built on it is not told the
    platform: the classic builder forgets it after a stage, and BuildKit looks for it in
    a registry only."""
    try:
        engine.run("pull", "--quiet", "--platform=linux/arm64", BASES["python"])
    except AssertionError:
        image = "edge-vl-python:arm64"
        options = ("--file", STAND_INS, "--target", "python", "--tag", image)
        with debian(engine, "arm64") as context:
            engine.run("build", *options, context)
        return image
    return BASES["python"]


@pytest.mark.parametrize(
    ("target", "program", "says"),
    [
        ("ui", "import ui.app", ""),
        (
            "worker",
            "import openvino as o; print(o.Core().available_devices)",
            "['CPU']",
        ),
    ],
)
def test_an_image_for_arm64(
    engine: Engine,
    python_image: str,
    tmp_path_factory: pytest.TempPathFactory,
    report: Report,
    target: str,
    program: str,
    says: str,
) -> None:
    folder, tag = copy_project(tmp_path_factory.mktemp("project")), f"{target}:arm64"
    started = time.monotonic()
    options = ("--target", target, "--tag", tag)
    engine.run("build", *options, "--build-arg", f"PYTHON_IMAGE={python_image}", folder)
    report(f"{target} for arm64 built in {seconds_since(started)}.")
    run = ("run", "--rm", "--network=none", tag)
    assert engine.run(*run, "uname", "-m") == "aarch64"
    # QEMU shows no register of the processor's kind, which OpenVINO remarks on
    *_, said = engine.run(*run, "python", "-c", program).split("\n")
    assert said == says
