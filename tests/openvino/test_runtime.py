"""OpenVINO's language model equals llama.cpp's. The contract of all runtimes is in
`tests/contract/test_runtime.py`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.engine.step import PictureSpan, Span, Step, TextSpan
from edge.errors import EngineError, SetupError
from edge.gguf.layout import TINY
from edge.gguf.synthetic import write_synthetic
from edge.host import held_by
from edge.llamacpp.model import Model
from edge.llamacpp.runtime import LlamaRuntime
from edge.models.registry import ModelFiles
from edge.openvino.kernels import Kernels, likely_kernels
from edge.openvino.language_weights import TextWeights
from edge.openvino.nodes import quantize
from edge.openvino.quantized_weights import QuantizedWeights
from edge.openvino.runtime import OpenvinoRuntime
from edge.qwen3vl.positions import picture_positions
from edge.request import SamplingParams
from edge.serving.build import build_runtime
from edge.serving.plan import make_plan
from edge.settings import Settings
from tests.openvino.precisions import FEATURES, PRECISIONS

pytestmark = pytest.mark.model

GREEDY = SamplingParams()
TEXT = tuple(range(40, 70))
WIDTH = 192  # of the tiny model
SIZES = {"n_slots": 3, "n_cells": 512, "threads": 2}


def opened(
    model: Path, folder: Path, precision: str = "int8", **other: Any
) -> OpenvinoRuntime:
    return OpenvinoRuntime(
        model, folder, **SIZES, kernels=PRECISIONS[precision], **other
    )


@pytest.fixture
def llama(tiny) -> Iterator[LlamaRuntime]:
    with closing(LlamaRuntime(Model(tiny[0]), **SIZES, max_batch=256)) as one:
        yield one


def prompt(rows: int, columns: int, slot: int = 0) -> list[Span]:
    """Ten tokens, a picture, twenty tokens, the last of which is wanted."""
    behind = 10 + max(rows, columns)
    noise = np.random.default_rng(rows).normal(size=(rows * columns, 4 * WIDTH))
    positions = picture_positions(10, rows, columns)
    last = len(TEXT) - 11
    return [
        TextSpan(slot, 0, TEXT[:10]),
        PictureSpan(slot, noise.astype(np.float16), positions),
        TextSpan(slot, behind, TEXT[10:], wanted=(last,)),
    ]


@pytest.mark.parametrize("kind", [OpenvinoRuntime, LlamaRuntime])
@pytest.mark.parametrize("end", ["deleted", "replaced"])
def test_the_file_may_go_while_it_is_served(
    tiny, tmp_path: Path, kind: type, end: str
) -> None:
    """By `edge models rm`, or by a newer one with the same name."""
    path = tmp_path / "model.gguf"
    shutil.copyfile(tiny[0], path)
    with ExitStack() as opening:
        one, whole = [
            opening.enter_context(
                closing(
                    opened(file, tmp_path / file.stem)
                    if kind is OpenvinoRuntime
                    else LlamaRuntime(Model(file), **SIZES, max_batch=256)
                )
            )
            for file in (path, tiny[0])
        ]
        newer = tmp_path / "newer"
        newer.write_bytes(bytes(path.stat().st_size))
        path.unlink() if end == "deleted" else newer.replace(path)
        for runtime in (one, whole):
            runtime.open(0, GREEDY)
        step = Step([TextSpan(0, 0, TEXT, wanted=(len(TEXT) - 1,))])
        assert one.run(step)[0].tokens == whole.run(step)[0].tokens
        assert np.array_equal(one.score_row, whole.score_row)


def logits(runtime: OpenvinoRuntime | LlamaRuntime, spans: list[Span]) -> np.ndarray:
    """Of the last token; each span is a step."""
    runtime.open(0, GREEDY)
    steps = [Step((span,)) for span in spans]
    found = [row.logits.copy() for step in steps for row in runtime.logits(step)]
    runtime.release(0)
    [last] = found
    return last


@pytest.mark.parametrize(
    ("precision", "kv", "least"),
    [("f32", "f16", 0.995), ("int8", "f16", 0.99), ("int8", "q8_0", 0.97)],
)
def test_logits_are_those_of_llama_cpp(
    llama, tiny, towers, precision, kv, least
) -> None:
    """As far as that goes: llama.cpp rounds activations too, in groups of 32, and noise
    for a picture is where that shows most. `tests/models/test_tiny.py` compares both
    with Transformers."""
    with closing(opened(tiny[0], towers, precision, kv=kv)) as ours:
        for shape in ((3, 5), (6, 4), (1, 9), (9, 9)):
            x, y = (logits(one, prompt(*shape)) for one in (ours, llama))
            assert x @ y / np.linalg.norm(x) / np.linalg.norm(y) > least


NEAR = 0.06  # standard deviations of the logits, as the root mean square


def following(runtime: OpenvinoRuntime, n_beside: int = 0, at: int = 34) -> np.ndarray:
    """Logits of a token behind `prompt(4, 4)` in slot 0, at the position `at`; as many
    other slots compute one too in the same step."""
    slots = range(1 + n_beside)
    for slot in slots:
        runtime.open(slot, GREEDY)
        for span in prompt(4, 4, slot):
            list(runtime.logits(Step((span,))))
    spans = tuple(TextSpan(slot, at, (50 + slot,), wanted=(0,)) for slot in slots)
    [found] = [r.logits.copy() for r in runtime.logits(Step(spans)) if not r.span.slot]
    for slot in slots:
        runtime.release(slot)
    return found


def distance(logits: np.ndarray, exact: np.ndarray) -> float:
    return float(np.sqrt(np.mean((logits - exact) ** 2)) / exact.std())


@pytest.mark.parametrize("kernels", [*likely_kernels(FEATURES)], ids=str)
def test_eight_bits_are_near_the_exact_logits(tiny, towers, kernels) -> None:
    """Alone and beside other slots, where other kernels may compute. Measured: 0.014 to
    0.031; one position further 0.10, and with one wrong scale 0.12."""
    with closing(opened(tiny[0], towers, "f32", kv="q8_0")) as runtime:
        exact, further = following(runtime), following(runtime, at=35)
    with closing(
        OpenvinoRuntime(tiny[0], towers, **SIZES, kernels=kernels, kv="q8_0")
    ) as runtime:
        for n_beside in (0, 1, 2):
            found = following(runtime, n_beside)
            assert distance(found, exact) < NEAR < distance(found, further)


def test_a_wrong_scale_is_not_near(tiny, towers, monkeypatch) -> None:
    arrays = QuantizedWeights.arrays

    def scaled(weights: QuantizedWeights, name: str) -> Iterator[np.ndarray]:
        numbers, scales = arrays(weights, name)
        is_wrong = name == "blk.0.ffn_down.weight"
        yield numbers
        yield scales * np.float16(0.9) if is_wrong else scales

    with closing(opened(tiny[0], towers, "f32")) as runtime:
        exact = following(runtime)
    monkeypatch.setattr(QuantizedWeights, "arrays", scaled)
    with closing(opened(tiny[0], towers)) as runtime:
        assert distance(following(runtime), exact) > NEAR


def run(runtime: OpenvinoRuntime | LlamaRuntime, *spans: Span) -> list[int]:
    return [token for each in runtime.run(Step(spans)) for token in each.tokens]


def answer(runtime: OpenvinoRuntime | LlamaRuntime, slot: int) -> list[int]:
    runtime.open(slot, GREEDY)
    tokens = [token for span in prompt(4, 4, slot) for token in run(runtime, span)]
    for at in range(34, 46):
        tokens += run(runtime, TextSpan(slot, at, (tokens[-1],), wanted=(0,)))
    runtime.release(slot)
    return tokens


def test_spans_of_several_slots_may_come_in_any_order(tiny, towers) -> None:
    """A step of two answers and two pieces of a prompt around them."""
    with closing(opened(tiny[0], towers, "f32")) as runtime:
        alone = {}
        texts = {slot: tuple(t + slot for t in TEXT[:20]) for slot in (0, 1, 2)}
        for slot, text in texts.items():
            runtime.open(slot, GREEDY)
            [alone[slot]] = run(runtime, TextSpan(slot, 0, text, wanted=(19,)))
            runtime.release(slot)
        for slot in (0, 1, 2):
            runtime.open(slot, GREEDY)
        for slot in (0, 2):
            run(runtime, TextSpan(slot, 0, texts[slot][:19]))
        spans = (
            TextSpan(1, 0, texts[1][:5]),
            TextSpan(2, 19, texts[2][19:], wanted=(0,)),
            TextSpan(0, 19, texts[0][19:], wanted=(0,)),
            TextSpan(1, 5, texts[1][5:], wanted=(14,)),
        )
        sampled = runtime.run(Step(spans))
        assert {each.slot: [*each.tokens] for each in sampled} == {
            slot: [token] for slot, token in alone.items()
        }


def test_two_graphs_share_one_cache(tiny, towers) -> None:
    """The prompt is computed by one graph, the answer after it by the other one: equal
    kernels give equal answers, however the rows are divided."""
    for rows in (2, 8, 20):
        two = {"many": PRECISIONS["f32"], "many_rows": rows}
        with (
            closing(opened(tiny[0], towers, "f32", kv="q8_0")) as one_graph,
            closing(opened(tiny[0], towers, "f32", kv="q8_0", **two)) as two_graphs,
        ):
            assert answer(two_graphs, 1) == answer(one_graph, 1)


def test_each_graph_has_copied_its_weights_when_it_is_loaded(tiny, towers) -> None:
    """On a Xeon the first step of each of two graphs took 3 s, of a question."""
    two = {"many": PRECISIONS["int8"], "many_rows": 8}
    with closing(opened(tiny[0], towers, "int8", kv="q8_0", **two)) as runtime:
        graphs = runtime._graph._few, runtime._graph._many
        assert [graph._has_run for graph in graphs] == [True, True]


def test_two_graphs_with_other_hints_answer_like_llama_cpp(llama, tiny, towers) -> None:
    few, many = Kernels("f32", 32), Kernels("bf16", 128)
    runtime = OpenvinoRuntime(
        tiny[0], towers, **SIZES, kernels=few, many=many, many_rows=16, kv="q8_0"
    )
    with closing(runtime):
        x, y = (logits(one, prompt(6, 4)) for one in (runtime, llama))
        assert x @ y / np.linalg.norm(x) / np.linalg.norm(y) > 0.97


def test_a_full_cache_fails_and_other_slots_go_on(tiny, towers) -> None:
    with closing(opened(tiny[0], towers)) as runtime:
        runtime.open(0, GREEDY)
        with pytest.raises(EngineError, match="full"):
            run(runtime, TextSpan(0, 0, (5,) * 1024))
        runtime.release(0)
        assert len(answer(runtime, 1)) == 13


def test_the_cache_takes_memory_as_it_is_used(tiny, towers) -> None:
    def resident_bytes() -> int:
        return held_by(os.getpid())[0].anonymous_bytes

    with closing(opened(tiny[0], towers)) as small:
        answer(small, 1)
        before = resident_bytes()
        sizes = SIZES | {"n_cells": 1 << 20}
        kernels = PRECISIONS["int8"]
        with closing(
            OpenvinoRuntime(tiny[0], towers, **sizes, kernels=kernels)
        ) as large:
            assert sum(cache.nbytes for cache in large._caches) > 500_000_000
            answer(large, 1)
            assert resident_bytes() - before < 100_000_000


# --- the quantized weights --------------------------------------------------


def test_weights_are_quantized_once(tiny, tmp_path) -> None:
    weights = TextWeights(tiny[0])
    quantized = QuantizedWeights(weights, tmp_path)
    [file] = tmp_path.iterdir()
    made_ns = file.stat().st_mtime_ns
    for name in weights.matrices:
        arrays = quantized.arrays(name)
        for ours, theirs in zip(arrays, quantize(weights[name]), strict=True):
            assert np.array_equal(ours, theirs)
    QuantizedWeights(weights, tmp_path)
    assert file.stat().st_mtime_ns == made_ns


def test_a_damaged_file_is_replaced(tiny, tmp_path) -> None:
    weights = TextWeights(tiny[0])
    QuantizedWeights(weights, tmp_path)
    [file] = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    QuantizedWeights(weights, tmp_path)
    assert file.read_bytes() == whole


def test_the_error_of_an_unwritable_folder_names_the_size(tiny, tmp_path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SetupError, match=r"cannot be written.*It takes 0\.0 GB"):
        QuantizedWeights(TextWeights(tiny[0]), tmp_path / "file")


def test_four_bits_of_the_file_are_nearer_to_llama_cpp_than_eight(tmp_path) -> None:
    """Of Q4_K, whose numbers are kept as they are; in eight bits they are rounded
    twice."""
    shapes = replace(TINY, hidden=256, n_heads=8, ffn=512)
    model, _ = write_synthetic(tmp_path, shapes=shapes, n_tokens=2000)
    texts = [TEXT[:n] for n in range(6, len(TEXT) + 1, 3)]
    spans = [TextSpan(0, 0, text, wanted=(len(text) - 1,)) for text in texts]

    def rows(runtime: OpenvinoRuntime | LlamaRuntime) -> np.ndarray:
        return np.array([logits(runtime, [span]) for span in spans])

    with closing(LlamaRuntime(Model(model), **SIZES, max_batch=256)) as llama:
        wanted = rows(llama)
    far = {}
    for precision in ("u4", "int8"):
        with closing(opened(model, tmp_path, precision)) as ours:
            far[precision] = np.linalg.norm(rows(ours) - wanted)
    assert far["u4"] < 0.9 * far["int8"]


# --- which runtime computes --------------------------------------------------


def test_what_openvino_cannot_read_falls_back_or_is_refused(
    tiny, tmp_path, monkeypatch, caplog
) -> None:
    files = ModelFiles("tiny", *tiny)

    def built(runtime: str, **other: str) -> str:
        settings = Settings(runtime=runtime, data_dir=tmp_path, threads=1, **other)
        with closing(build_runtime(make_plan(settings, files))) as one:
            return one.name

    assert built("auto") == built("openvino") == "openvino int8"
    assert built("auto", kv="q8_0") == "openvino int8"
    assert built("llama") == "llama.cpp"

    def refuse(path: Path, *_: object) -> None:
        raise SetupError(f"{path} is a foreign model.")

    monkeypatch.setattr("edge.openvino.runtime.TextWeights", refuse)
    assert built("auto") == "llama.cpp"
    assert "foreign" in caplog.text
    with pytest.raises(SetupError, match="foreign"):
        built("openvino")
    with pytest.raises(SetupError, match="not a qwen3vl"):
        TextWeights(tiny[1])
