"""The plugin fuses what it is meant to fuse, and computes the same."""

from __future__ import annotations

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from edge.openvino.nodes import apply_rope

pytestmark = pytest.mark.model


def test_a_rotation_is_one_operation() -> None:
    heads, head = 3, 8
    x = ops.parameter([-1, heads, head], np.float32)
    angles = [ops.parameter([-1, 1, head // 2], np.float32) for _ in range(2)]
    model = ov.Model([apply_rope(x, *angles)], [x, *angles], "rope")
    compiled = ov.Core().compile_model(
        model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    nodes = compiled.get_runtime_model().get_ops()
    assert "RoPE" in {str(node.get_rt_info()["layerType"].value) for node in nodes}
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(5, heads, head)).astype(np.float32)
    angle = rng.normal(size=(5, 1, head // 2))
    cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    a, b = np.split(numbers, 2, axis=2)
    rotated = np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=2)
    assert np.allclose(compiled([numbers, cos, sin])[0], rotated, atol=1e-6)
