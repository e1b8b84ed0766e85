"""OpenVINO computes the keys and values of llama.cpp, which takes them as its own."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from llama_cpp import llama_cpp as lib

from edge.engine.batch import Batch, Cells, PictureBatch, Row, TokenBatch
from edge.engine.protocols import Prefill
from edge.errors import Cancelled, EngineError, SetupError
from edge.models.layout import QWEN3_VL_2B
from edge.models.registry import ModelFiles
from edge.models.synthetic import write_synthetic
from edge.openvino.nodes import Precision
from edge.prefill.prefill_openvino import OpenvinoPrefill
from edge.prefill.stub import StubPrefill
from edge.prefill.weights import TextWeights
from edge.request import SamplingParams
from edge.runtime.llama import LlamaRuntime
from edge.runtime.model import Model
from edge.runtime.state import state_of
from edge.settings import Settings
from edge.vision.positions import picture_positions
from worker.lifecycle import build_prefill

pytestmark = pytest.mark.model

TEXT = tuple(range(40, 70))
WIDTH = 192  # of the tiny model


def opened(model: Path, folder: Path, precision: Precision = "int8") -> OpenvinoPrefill:
    return OpenvinoPrefill(model, folder, threads=2, longest=512, precision=precision)


@pytest.fixture
def runtime(tiny) -> Iterator[LlamaRuntime]:
    sizes = {"n_slots": 2, "n_cells": 512, "max_batch": 256, "threads": 2}
    with closing(LlamaRuntime(Model(tiny[0]), **sizes)) as one:
        yield one


def prompt(rows: int, columns: int, slot: int = 0) -> list[Batch]:
    """Ten tokens, a picture, twenty tokens."""
    behind = 10 + max(rows, columns)
    noise = np.random.default_rng(rows).normal(size=(rows * columns, 4 * WIDTH))
    return [
        TokenBatch(tuple(Row(slot, t, i) for i, t in enumerate(TEXT[:10]))),
        PictureBatch(
            slot, noise.astype(np.float32), picture_positions(10, rows, columns)
        ),
        TokenBatch(tuple(Row(slot, t, behind + i) for i, t in enumerate(TEXT[10:]))),
    ]


def state(runtime: LlamaRuntime, slot: int) -> np.ndarray:
    """What llama.cpp itself writes down of a sequence."""
    size = lib.llama_state_seq_get_size(runtime._context, slot)
    found = np.zeros(size, np.uint8)
    start = found.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
    assert lib.llama_state_seq_get_data(runtime._context, start, size, slot) == size
    return found


def computed(runtime: LlamaRuntime, slot: int, batches: list[Batch]) -> np.ndarray:
    runtime.open(slot, SamplingParams())
    for batch in batches:
        runtime.run(batch)
    return state(runtime, slot)


def rows_of(state: np.ndarray, cells: Cells) -> list[np.ndarray]:
    """Keys, then values, of each layer, float32 [n, width], in the order of a state."""
    n, width = cells.kept[0].shape
    head, layer = 16 + 24 * n + 8, 12 + n * width * 2
    layers = state[head:].reshape(-1, layer)[:, 12:].copy()
    return list(layers.view(np.float16).astype(np.float32).reshape(-1, n, width))


@pytest.mark.parametrize(("precision", "least"), [("f32", 0.999), ("int8", 0.998)])
@pytest.mark.parametrize("shape", [(3, 5), (6, 4), (1, 9)])
def test_keys_and_values_are_those_of_llama_cpp(
    runtime, tiny, towers, shape, precision, least
) -> None:
    theirs = computed(runtime, 0, prompt(*shape))
    with closing(opened(tiny[0], towers, precision)) as prefill:
        cells = prefill.compute(prompt(*shape))
    ours = state_of(cells)
    head = 16 + 24 * len(cells) + 8
    assert np.array_equal(ours[:head], theirs[:head])
    for x, y in zip(rows_of(ours, cells), rows_of(theirs, cells), strict=True):
        lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
        assert ((x * y).sum(axis=1) / lengths).min() > least


def test_a_state_that_llama_cpp_wrote_is_written_the_same_by_us(runtime) -> None:
    """Ours is its format, whatever the numbers are: it reads and writes it back."""
    n = 37
    numbers = np.random.default_rng(1).normal(size=(10, n, 64)).astype(np.float16)
    places = picture_positions(5, 1, n)
    cells = Cells(np.arange(n, dtype=np.int32), places, list(numbers))
    runtime.open(0, SamplingParams())
    runtime.fill(0, cells)
    assert np.array_equal(state(runtime, 0), state_of(cells))


@pytest.mark.parametrize("slot", [0, 1])
def test_an_answer_goes_on_from_there(runtime, tiny, towers, slot: int) -> None:
    batches = prompt(4, 4, slot)
    last = Row(slot, TEXT[3], 10 + 4 + 20, sampled=True)

    def answered() -> list[int]:
        said = runtime.run(TokenBatch((last,)))
        for at in range(last.position + 1, last.position + 12):
            said += runtime.run(TokenBatch((Row(slot, said[-1], at, sampled=True),)))
        runtime.release(slot)
        return said

    computed(runtime, slot, batches)
    alone = answered()
    with closing(opened(tiny[0], towers, "f32")) as prefill:
        runtime.open(slot, SamplingParams())
        runtime.fill(slot, prefill.compute(batches))
    assert answered() == alone


def test_what_does_not_fit_is_refused_and_nothing_is_left(runtime) -> None:
    n = runtime.n_cells + 1
    numbers = [np.zeros((n, 64), np.float16)] * 10
    cells = Cells(np.zeros(n, np.int32), picture_positions(0, 1, n), numbers)
    runtime.open(0, SamplingParams())
    with pytest.raises(EngineError):
        runtime.fill(0, cells)
    assert len(state(runtime, 0)) == 16
    narrow = [np.zeros((5, 32), np.float16)] * 10
    with pytest.raises(EngineError):
        runtime.fill(
            0, Cells(np.zeros(5, np.int32), picture_positions(0, 1, 5), narrow)
        )
    assert len(state(runtime, 0)) == 16


@pytest.mark.parametrize("kind", ["stub", "openvino"])
def test_the_cells_of_a_prompt_are_in_their_places(kind, tiny, towers) -> None:
    prefill: Prefill = StubPrefill() if kind == "stub" else opened(tiny[0], towers)
    with closing(prefill):
        cells = prefill.compute(prompt(2, 3))
        again = prefill.compute(prompt(5, 5))
    assert len(cells) == 36 and len(again) == 55
    assert cells.tokens.tolist() == [*TEXT[:10], *[-1] * 6, *TEXT[10:]]
    time_, height, width, _ = cells.positions.tolist()
    assert time_ == [*range(10), *[10] * 6, *range(13, 33)]
    assert height[10:16] == [10, 10, 10, 11, 11, 11]
    assert width[10:16] == [10, 11, 12, 10, 11, 12]
    assert all(rows.shape == (36, 64) for rows in cells.kept)


def test_an_interrupt_ends_a_prompt_early_and_the_next_is_whole(
    tmp_path, towers
) -> None:
    few = replace(QWEN3_VL_2B, n_layers=6, vision_n_blocks=18)
    model, _ = write_synthetic(tmp_path, shapes=few, n_tokens=1024)
    with closing(opened(model, towers)) as prefill:
        rows = tuple(Row(0, 5, at) for at in range(512))
        whole = prefill.compute([TokenBatch(rows)])
        begun = time.monotonic()
        prefill.compute([TokenBatch(rows)])
        took = time.monotonic() - begun
        timer = threading.Timer(took / 5, prefill.interrupt)
        timer.start()
        begun = time.monotonic()
        with pytest.raises(Cancelled):
            prefill.compute([TokenBatch(rows)])
        assert time.monotonic() - begun < took * 0.8
        timer.join()
        prefill.interrupt()  # with nothing in hand
        again = prefill.compute([TokenBatch(rows)])
    assert all(map(np.array_equal, again.kept, whole.kept))


def test_what_is_no_language_model_falls_back_or_is_refused(
    tiny, tmp_path, monkeypatch, caplog
) -> None:
    def built(prefill: str, **other: str) -> str:
        settings = Settings(prefill=prefill, data_dir=tmp_path, threads=1, **other)
        with closing(build_prefill(settings, files)) as one:
            return one.name

    files = ModelFiles("tiny", *tiny)
    assert built("auto") == built("openvino") == "openvino int8"
    assert built("llama") == built("auto", kv="q8_0") == "llama.cpp"
    with pytest.raises(SetupError, match="EDGE_KV=f16"):
        built("openvino", kv="q8_0")

    def refuse(path: Path) -> None:
        raise SetupError(f"{path} is a foreign model.")

    monkeypatch.setattr("edge.prefill.prefill_openvino.TextWeights", refuse)
    assert built("auto") == "llama.cpp"
    assert "foreign" in caplog.text
    with pytest.raises(SetupError, match="foreign"):
        built("openvino")
    with pytest.raises(SetupError, match="not a qwen3vl"):
        TextWeights(tiny[1])
