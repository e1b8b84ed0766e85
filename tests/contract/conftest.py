"""Each runtime with a vision encoder: the stubs, and all backends over `tiny`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
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
    scope="module",
    params=[
        "stub",
        pytest.param("openvino openvino", marks=pytest.mark.model),
        pytest.param("openvino mtmd q8_0", marks=pytest.mark.model),
        pytest.param("openvino-f32 mtmd", marks=pytest.mark.model),
        pytest.param("llama openvino", marks=pytest.mark.model),
        pytest.param("llama mtmd", marks=pytest.mark.model),
        pytest.param("llama mtmd q8_0", marks=pytest.mark.model),
    ],
)
def opened(request: pytest.FixtureRequest) -> Iterator[Pair | None]:
    """Opened once for all tests of a file; none for the stubs."""
    if request.param == "stub":
        yield None
        return
    tiny, towers = map(request.getfixturevalue, ("tiny", "towers"))
    runtime, tower = real(tiny, towers, *request.param.split())
    yield runtime, tower
    tower.close()
    runtime.close()


@pytest.fixture
def pair(opened: Pair | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """A runtime and a tower with empty slots. A test may close them: the next one uses
    them again."""
    if opened is None:
        with closing(StubRuntime()) as runtime:
            yield runtime, StubTower()
        return
    for each in opened:
        monkeypatch.setattr(each, "close", lambda: None)
    yield opened
    runtime, _ = opened
    for slot in range(runtime.n_slots + runtime.n_idle):
        with suppress(KeyError):  # it was not open
            runtime.release(slot)
