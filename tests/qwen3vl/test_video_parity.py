"""A video is to us what it is to Transformers: embeddings, prompt, positions, logits.

The weights are random: `tiny` knows stills only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge.engine.prepare import prepare
from edge.engine.protocols import VisionTower
from edge.engine.sequence import Phase, Sequence
from edge.engine.step import Step, TextSpan
from edge.engine.without_slot import _tokens
from edge.gguf.tokenizer import read_tokenizer
from edge.images import Picture
from edge.llamacpp.model import Model
from edge.llamacpp.runtime import LlamaRuntime
from edge.llamacpp.vision import MtmdTower
from edge.openvino.kernels import EXACT
from edge.openvino.runtime import OpenvinoRuntime
from edge.openvino.vision import OpenvinoTower
from edge.qwen3vl.positions import text_positions
from edge.qwen3vl.video import second_labels
from edge.request import Message, PictureRef, Request, SamplingParams

FIXTURES = Path(__file__).with_name("video")  # made by training/parity_video.py
SIZES = {"threads": 2, "min_tokens": 16, "max_tokens": 1024}
QUESTION = "What happens?"
TIMES = [index / 24 for index in (0, 8, 15, 23)]
Files = tuple[Path, Path]
Runtime = OpenvinoRuntime | LlamaRuntime


@pytest.fixture(scope="module")
def held() -> dict[str, np.ndarray]:
    return dict(np.load(FIXTURES / "parity.npz"))


def open_tower(name: str, files: Files, towers: Path) -> VisionTower:
    if name == "mtmd":
        return MtmdTower(files[1], Model(files[0]), **SIZES)
    return OpenvinoTower(files[1], towers, kernels=EXACT, **SIZES)


def open_runtime(name: str, files: Files, towers: Path) -> Runtime:
    sizes = {"n_slots": 1, "n_cells": 256, "threads": 2}
    if name == "llama":
        return LlamaRuntime(Model(files[0]), max_batch=256, **sizes)
    return OpenvinoRuntime(files[0], towers, kernels=EXACT, **sizes)


@pytest.fixture(scope="module", params=["openvino openvino", "llama mtmd"])
def backends(
    request: pytest.FixtureRequest, babble: Files, towers: Path
) -> Iterator[tuple[Runtime, VisionTower]]:
    runtime, tower = request.param.split()
    with (
        closing(open_runtime(runtime, babble, towers)) as one,
        closing(open_tower(tower, babble, towers)) as two,
    ):
        yield one, two


def pairs_of(frames: np.ndarray) -> list[Picture]:
    """Pairs of uint8 [n_frames, height, width, 3]."""
    height, width = frames.shape[1:3]
    return [
        Picture(width, height, frames[i : i + 2].tobytes(), n_frames=2)
        for i in range(0, len(frames), 2)
    ]


def question(pairs: list[Picture]) -> Request:
    content: list[str | PictureRef] = []
    for label, shown in zip(second_labels(TIMES), pairs, strict=True):
        content += [label, shown.ref]
    message = Message("user", (*content, QUESTION))
    return Request((message,), SamplingParams(max_tokens=1))


def is_near(ours: np.ndarray, theirs: np.ndarray) -> bool:
    theirs = theirs.astype(np.float32)
    return bool(np.linalg.norm(ours - theirs) < 1e-2 * np.linalg.norm(theirs))


@pytest.mark.model
@pytest.mark.parametrize("grid", ["1x2", "3x4", "4x6"])
def test_embeddings_of_a_pair(backends, held, grid: str) -> None:
    _, tower = backends
    [pair] = pairs_of(held[f"frames_{grid}"])
    assert is_near(tower.embed(pair), held[f"embeddings_{grid}"])


@pytest.mark.model
def test_logits_and_the_order_of_frames(backends, held) -> None:
    """Ablation: the same frames backwards give other logits, those of Transformers."""
    runtime, tower = backends
    found = []
    for frames in (held["frames"], held["frames"][::-1]):
        pairs = pairs_of(frames)
        sequence = prepare(question(pairs), runtime, tower)
        sequence.embeddings = {pair.ref.sha256: tower.embed(pair) for pair in pairs}
        found.append(last_logits(runtime, sequence))
    for ours, theirs in zip(found, held["logits"], strict=True):
        assert is_near(ours, theirs)
    assert not is_near(*held["logits"])


def last_logits(runtime: Runtime, sequence: Sequence) -> np.ndarray:
    """After the whole prompt, computed span by span."""
    sequence.phase = Phase.PREFILL
    runtime.open(0, sequence.sampling)
    rows = [
        row.logits.copy()
        for span in sequence.prefill_spans(0, sequence.n_prompt)
        for row in runtime.logits(Step((span,)))
    ]
    runtime.release(0)
    return rows[-1]


def test_the_prompt_is_that_of_qwens_processor(held, qwen3_gguf) -> None:
    expected = json.loads((FIXTURES / "prompt.json").read_text())
    tokenizer = read_tokenizer(qwen3_gguf)
    runtime: Any = SimpleNamespace(
        tokenize=tokenizer.tokenize,
        ends=tokenizer.ends,
        n_cells=1000,
        check=lambda _: None,
    )
    tower: Any = SimpleNamespace(grid=lambda *_: (3, 4))
    sequence = prepare(question(pairs_of(held["frames"])), runtime, tower)
    assert list(_tokens(sequence, runtime)) == expected["tokens"]
    sequence.phase = Phase.PREFILL
    nothing = np.empty((12, 1), np.float16)
    sequence.embeddings = dict.fromkeys(sequence.picture_hashes, nothing)
    positions = [
        text_positions(span.start, len(span.tokens))
        if isinstance(span, TextSpan)
        else span.positions
        for span in sequence.prefill_spans(0, sequence.n_prompt)
    ]
    assert np.concatenate(positions, axis=1)[:3].tolist() == expected["positions"]
