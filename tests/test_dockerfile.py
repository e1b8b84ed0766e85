"""The image builds for arm64 too, where no registry has its base here."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

DOCKERFILE = (Path(__file__).parents[1] / "Dockerfile").read_text()
COMMON = ["libopenvino.so.2641", "libopenvino_ir_frontend.so.2641", "libtbb.so.12"]
UNUSED = ["libopenvino_hetero_plugin.so", "libopenvino_onnx_frontend.so.2641"]


@pytest.mark.parametrize(
    "own, others",
    [  # what the wheels of OpenVINO 2026.4 have besides
        (["libopenvino_intel_cpu_plugin.so"], ["libopenvino_intel_gpu_plugin.so"]),
        (["libopenvino_arm_cpu_plugin.so"], []),
    ],
)
def test_what_computes_is_kept(
    tmp_path: Path, own: list[str], others: list[str]
) -> None:
    """Runs the lines that delete parts of OpenVINO, on files of the same names."""
    libs = tmp_path / "libs"
    libs.mkdir()
    (tmp_path / "include").mkdir()
    for name in [*COMMON, *UNUSED, *own, *others]:
        (libs / name).touch()
    if others:  # only the GPU's plugin has kernels to remember
        (libs / "cache.json").touch()
    found = re.search(r"site-packages/openvino \\\n((?:.+\\\n)*.+)\n", DOCKERFILE)
    assert found and shutil.which("sh")
    subprocess.run(["sh", "-ec", f"true {found[1]}"], cwd=tmp_path, check=True)
    assert sorted(path.name for path in libs.iterdir()) == sorted([*COMMON, *own])
