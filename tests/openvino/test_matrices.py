"""Forms of a matrix multiply as the weights in the GGUF file do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from edge.gguf import q4_k
from edge.gguf.layout import TINY
from edge.gguf.synthetic import write_synthetic
from edge.gguf.weights import Weights
from edge.openvino.matrices import U4, Form, Int8

pytestmark = pytest.mark.model

NAME, ALL = "blk.3.attn_q.weight", slice(None)


@pytest.fixture(scope="module", params=[256, 768, 1280])
def weights(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Weights:
    """Matrices in Q4_K; their rows are fewer groups than fill a group, or more."""
    hidden = request.param
    shapes = replace(TINY, hidden=hidden, n_heads=hidden // 32, n_layers=9)
    folder = tmp_path_factory.mktemp("q4_k")
    return Weights(write_synthetic(folder, shapes=shapes, n_tokens=500)[0])


def test_blocks_are_unpacked(weights: Weights) -> None:
    numbers, scale, minimum = q4_k.unpack(weights.packed_rows(NAME))
    ours = numbers * scale[..., None] - minimum[..., None]
    assert numbers.max() == 15
    assert np.array_equal(ours.reshape(weights.shape(NAME)), weights[NAME])


@pytest.mark.parametrize(("form", "most"), [(U4(), 0.001), (Int8(), 0.01)])
def test_products_are_those_of_the_weights(weights, form: Form, most: float) -> None:
    arrays = [np.ascontiguousarray(a) for a in form.encode(weights, NAME, ALL)]
    width = weights.shape(NAME)[1]
    assert [(a.dtype.type, a.shape[1]) for a in arrays] == form.layout(width)
    x = ops.parameter([-1, width], np.float32)
    model = ov.Model([form.product(x, *arrays)], [x], "product")
    exact = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
    compiled = ov.Core().compile_model(model, "CPU", exact)
    numbers = np.random.default_rng(0).normal(size=(5, width)).astype(np.float32)
    wanted = numbers @ weights[NAME].T
    error = compiled([numbers])[0] - wanted
    assert np.linalg.norm(error) < most * np.linalg.norm(wanted)
