"""The bundled model computes what Transformers computes, and answers correctly."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

from edge.engine.prepare import prepare
from edge.engine.protocols import VisionTower
from edge.engine.sequence import PicturePiece
from edge.engine.step import PictureSpan, Row, Span, Step, TextSpan
from edge.gguf import layout
from edge.gguf.header import read_header
from edge.gguf.requantize import requantized
from edge.gguf.weights import Weights
from edge.llamacpp.model import Model
from edge.llamacpp.runtime import LlamaRuntime
from edge.models.registry import TINY_QUANTS, ModelFiles, write_tiny_quant
from edge.openvino.kernels import EXACT
from edge.openvino.runtime import OpenvinoRuntime
from edge.qwen3vl.positions import picture_positions
from edge.request import Message, Request, SamplingParams
from edge.serving.build import build_engine, build_tower
from edge.serving.plan import make_plan
from edge.settings import Settings
from training.examination import Item, parity_questions
from training.examine import answers
from training.marking import is_right

pytestmark = pytest.mark.model

FIXTURES = Path(__file__).with_name("parity")  # made by training/parity.py
SIXTH = 6  # of the questions, where all would take minutes
Pair = tuple[Path, Path]


@pytest.fixture(scope="module")
def asked() -> list[Item]:
    return parity_questions()


@pytest.fixture(scope="module", params=["openvino int8", "llama int8", "llama mtmd"])
def answered(
    request: pytest.FixtureRequest, tiny: Pair, towers: Path, asked: list[Item]
) -> dict[int, str]:
    """By number of the question: all, or those of a runtime that is not the default."""
    files = ModelFiles("tiny", *tiny)
    runtime, vision = request.param.split()
    settings = Settings(threads=1, runtime=runtime, vision=vision, data_dir=towers)
    chosen = range(0, len(asked), 1 if runtime == "openvino" else SIXTH)
    with closing(build_engine(make_plan(settings, files))) as engine:
        found = answers(engine, [asked[i] for i in chosen])
    return dict(zip(chosen, found, strict=True))


def test_both_files_together_are_small(tiny: Pair) -> None:
    assert sum(path.stat().st_size for path in tiny) < 10_000_000


def test_the_files_declare_a_qwen3_vl(tiny: Pair) -> None:
    model, mmproj = map(read_header, tiny)
    assert model.architecture == "qwen3vl"
    assert mmproj.get("clip.projector_type") == "qwen3vl_merger"
    assert {tensor.name for tensor in gguf.GGUFReader(tiny[1]).tensors} >= {
        f"v.deepstack.{level}.fc1.weight" for level in range(3)
    }


@pytest.fixture(scope="module", params=["openvino f32", "llama f32", "llama mtmd"])
def pair_f16(
    request: pytest.FixtureRequest,
    tiny: Pair,
    towers: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[OpenvinoRuntime | LlamaRuntime, VisionTower]]:
    folder = tmp_path_factory.mktemp("f16")
    layout.write_files(
        folder, {path.name: requantized(path, "tiny", "F16") for path in tiny}
    )
    files = ModelFiles("tiny", *(folder / path.name for path in tiny))
    who, vision = request.param.split()
    sizes = {"n_slots": 1, "n_cells": 1024, "threads": 1}
    runtime: OpenvinoRuntime | LlamaRuntime
    if who == "openvino":
        runtime = OpenvinoRuntime(files.model, towers, kernels=EXACT, **sizes)
    else:
        runtime = LlamaRuntime(Model(files.model), max_batch=512, **sizes)
    settings = Settings(threads=1, vision=vision, data_dir=towers)
    tower = build_tower(make_plan(settings, files))
    yield runtime, tower
    tower.close()
    runtime.close()


def first_row(
    runtime: OpenvinoRuntime | LlamaRuntime,
    tower: VisionTower,
    item: Item,
    *,
    reads_state: bool = False,
) -> Row:
    """Logits or state before the first token of the answer."""
    picture = item.picture
    message = Message("user", (picture.ref, item.question.text))
    request = Request((message,), SamplingParams(max_tokens=1))
    runtime.open(0, request.sampling)
    position = 0
    pieces = prepare(request, runtime, tower).pieces
    found: list[Row] = []
    for piece in pieces:
        span: Span
        if isinstance(piece, PicturePiece):
            at = picture_positions(position, piece.rows, piece.columns)
            span = PictureSpan(0, tower.embed(picture), at)
        else:
            last = len(piece.tokens) - 1
            span = TextSpan(0, position, piece.tokens, (last,), reads_state)
        found += [
            replace(row, logits=row.logits.copy(), state=row.state.copy())
            for row in runtime.logits(Step((span,)))
        ]
        position += piece.n_positions
    runtime.release(0)
    return found[-1]


def test_logits_are_those_of_transformers(pair_f16, asked: list[Item]) -> None:
    expected = np.load(FIXTURES / "logits.npz")["logits"]
    for item, theirs in zip(asked, expected, strict=False):
        ours = first_row(*pair_f16, item).logits
        assert ours.argmax() == theirs.argmax()
        assert np.linalg.norm(ours - theirs) < 1e-2 * np.linalg.norm(theirs)


def test_states_are_those_of_transformers(
    pair_f16, asked: list[Item], tiny: Pair
) -> None:
    """The head has more rows than a state has numbers: equal logits, equal states."""
    head = Weights(tiny[0])["token_embd.weight"]
    assert np.linalg.matrix_rank(head) == head.shape[1]
    expected = np.load(FIXTURES / "logits.npz")["logits"]
    for item, theirs in zip(asked, expected, strict=False):
        ours = head @ first_row(*pair_f16, item, reads_state=True).state
        assert np.linalg.norm(ours - theirs) < 1e-2 * np.linalg.norm(theirs)


def test_answers_are_those_of_transformers(answered: dict[int, str]) -> None:
    expected = json.loads((FIXTURES / "answers.json").read_text())
    equal = [text == expected[i] for i, text in answered.items()]
    assert sum(equal) >= 0.99 * len(equal)


@pytest.mark.parametrize("name", TINY_QUANTS)
def test_other_types_answer_as_well(
    name: str, tiny: Pair, towers: Path, asked: list[Item], tmp_path: Path
) -> None:
    files = write_tiny_quant(name, tmp_path)
    assert files.fingerprint != ModelFiles("tiny", *tiny).fingerprint
    assert files.model_header.get("general.name") == name
    settings = Settings(threads=1, runtime="openvino", data_dir=towers)
    with closing(build_engine(make_plan(settings, files))) as engine:
        some = asked[::SIXTH]
        found = answers(engine, some)
    right = [is_right(a.question, text) for a, text in zip(some, found, strict=True)]
    assert sum(right) > 0.9 * len(right)


def test_answers_are_right(asked: list[Item], answered: dict[int, str]) -> None:
    """A lower bound; training/README.md reports many more questions."""
    marks = defaultdict(list)
    for i, text in answered.items():
        question = asked[i].question
        marks[question.kind].append(is_right(question, text))
    shares = {kind: sum(some) / len(some) for kind, some in marks.items()}
    assert {kind: shares[kind] for kind in SURE if shares[kind] < 0.85} == {}
    assert sum(shares.values()) / len(shares) > 0.85


SURE = (
    "shape",
    "colour",
    "shape and colour",
    "compare",
    "what is where",
    "yes or no",
    "none of this",
    "absent",
)
