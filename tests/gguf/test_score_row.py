"""Which row of a file says yes or no."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from gguf import PoolingType

from edge.gguf import layout
from edge.gguf.requantize import requantized
from edge.gguf.score_row import CLASSIFIER, read_score_row
from edge.gguf.tokenizer import read_tokenizer
from edge.gguf.weights import Floats, Weights
from edge.llamacpp.model import Model
from edge.llamacpp.runtime import LlamaRuntime
from edge.openvino.kernels import EXACT
from edge.openvino.runtime import OpenvinoRuntime

pytestmark = pytest.mark.model


def row_of(path: Path) -> Floats:
    return read_score_row(Weights(path), read_tokenizer(path))


@pytest.fixture
def reranker(tiny: tuple[Path, Path], tmp_path: Path) -> Callable[..., Path]:
    """`tiny` as llama.cpp converts a reranker: with a classifier of its own."""

    def make(rows: Floats, *labels: str) -> Path:
        writer = requantized(tiny[0], "tiny", "F16")
        writer.add_tensor(CLASSIFIER, rows)
        writer.add_pooling_type(PoolingType.RANK)
        if labels:
            writer.add_classifier_output_labels(labels)
        layout.write_files(tmp_path, {"reranker.gguf": writer})
        return tmp_path / "reranker.gguf"

    return make


def test_without_a_classifier_it_is_the_difference_of_two_words(
    tiny: tuple[Path, Path],
) -> None:
    tokenizer, weights = read_tokenizer(tiny[0]), Weights(tiny[0])
    yes, no = (
        weights["token_embd.weight"][tokenizer.tokenize(word, special=False)[0]]
        for word in ("yes", "no")
    )
    assert np.array_equal(row_of(tiny[0]), yes - no)


def test_a_classifier_says_which_of_its_rows_is_which(
    tiny: tuple[Path, Path], reranker: Callable[..., Path]
) -> None:
    rows = np.random.default_rng(0).normal(size=(2, len(row_of(tiny[0]))))
    rows = rows.astype(np.float32)
    difference = rows[0] - rows[1]
    assert np.allclose(row_of(reranker(rows)), difference)
    assert np.allclose(row_of(reranker(rows, "yes", "no")), difference)
    assert np.allclose(row_of(reranker(rows, "no", "yes")), -difference)
    assert np.allclose(row_of(reranker(rows[:1])), rows[0])


def test_both_runtimes_load_such_a_file(
    tiny: tuple[Path, Path], towers: Path, reranker: Callable[..., Path]
) -> None:
    rows = np.ones((2, len(row_of(tiny[0]))), np.float32)
    rows[1] = 0.0
    path = reranker(rows, "yes", "no")
    sizes = {"n_slots": 1, "n_cells": 256, "threads": 1}
    with closing(OpenvinoRuntime(path, towers, kernels=EXACT, **sizes)) as one:
        assert np.allclose(one.score_row, 1)
    with closing(LlamaRuntime(Model(path), max_batch=64, **sizes)) as other:
        assert np.allclose(other.score_row, 1)
