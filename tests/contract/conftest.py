"""Each runtime with a vision encoder: the stubs, and all backends over `tiny`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.engine.protocols import Runtime, VisionTower
from edge.llamacpp.model import Model
from edge.llamacpp.runtime import LlamaRuntime
from edge.llamacpp.vision import MtmdTower
from edge.openvino.runtime import OpenvinoRuntime
from edge.openvino.vision import OpenvinoTower
from edge.stubs.runtime import StubRuntime
from edge.stubs.vision import StubTower
from tests.openvino.precisions import PRECISIONS

Pair = tuple[Runtime, VisionTower]


def real(
    tiny: tuple[Path, Path], towers: Path, runtime: str, vision: str, kv: str = "f16"
) -> Pair:
    """Both by whom it says; what OpenVINO compiles goes into `towers`."""
    sizes = {"n_slots": 4, "n_cells": 2048, "threads": 1, "kv": kv}
    one: OpenvinoRuntime | LlamaRuntime
    if runtime != "llama":
        kernels = PRECISIONS["f32" if runtime == "openvino-f32" else "int8"]
        one = OpenvinoRuntime(tiny[0], towers, kernels=kernels, **sizes)
    else:
        one = LlamaRuntime(Model(tiny[0]), max_batch=128, **sizes)
    limits = {"threads": 1, "min_tokens": 16, "max_tokens": 256}
    if vision == "openvino":
        return one, OpenvinoTower(tiny[1], towers, kernels=PRECISIONS["int8"], **limits)
    return one, MtmdTower(tiny[1], Model(tiny[0]), **limits)


@pytest.fixture(
    params=[
        "stub",
        pytest.param("openvino openvino", marks=pytest.mark.model),
        pytest.param("openvino mtmd q8_0", marks=pytest.mark.model),
        pytest.param("openvino-f32 mtmd", marks=pytest.mark.model),
        pytest.param("llama openvino", marks=pytest.mark.model),
        pytest.param("llama mtmd", marks=pytest.mark.model),
        pytest.param("llama mtmd q8_0", marks=pytest.mark.model),
    ]
)
def open_pair(request: pytest.FixtureRequest) -> Pair:
    """A runtime and a tower, for the test to close."""
    if request.param == "stub":
        return StubRuntime(), StubTower()
    tiny, towers = map(request.getfixturevalue, ("tiny", "towers"))
    return real(tiny, towers, *request.param.split())


@pytest.fixture
def pair(open_pair: Pair) -> Iterator[Pair]:
    runtime, tower = open_pair
    yield runtime, tower
    tower.close()
    runtime.close()
