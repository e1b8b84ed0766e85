"""Operations that both graphs are built of, beside those of OpenVINO."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from openvino import opset13 as ops

from edge.gguf.weights import Floats
from edge.openvino.kernels import WeightsForm

Node = Any  # openvino has no types


def linear(x: Node, matrix: Floats, form: WeightsForm) -> Node:
    """[n, width] times the rows of `matrix`, which is stored in `form`."""
    return ops.matmul(x, _STORE[form](matrix), False, True)


def quantize(matrix: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """The matrix as int8 from -127 to 127, and a scale for each row, f32 [n, 1]."""
    scale = np.abs(matrix).max(axis=1, keepdims=True) / 127
    numbers = np.rint(matrix / np.where(scale == 0, 1, scale)).astype(np.int8)
    return numbers, scale.astype(np.float32)


def dequantized_node(numbers: npt.NDArray[np.int8], scale: Floats) -> Node:
    """The result of `quantize` in the form that the CPU plugin multiplies with as int8.
    The numbers are not copied: their memory must stay valid."""
    constant = ops.convert(ops.constant(numbers, shared_memory=True), "f32")
    return ops.multiply(constant, ops.constant(scale))


def _int8(matrix: Floats) -> Node:
    return dequantized_node(*quantize(matrix))


def _f16(matrix: Floats) -> Node:
    return ops.convert(ops.constant(matrix.astype(np.float16)), "f32")


_STORE: dict[WeightsForm, Callable[[Floats], Node]] = {
    "int8": _int8,
    "f16": _f16,
    "f32": ops.constant,
}


def apply_rope(x: Node, cos: Node, sin: Node) -> Node:
    """Rotary position embedding of f32 [n, heads, head], in the form that the CPU
    plugin fuses into one operation; cosines and sines are f32 [n, 1, head / 2]."""
    half = cos.output(0).partial_shape[2].get_length()
    a, b = ops.variadic_split(x, int_(2), ints(half, half)).outputs()
    minus_b = ops.multiply(b, ops.constant(np.full((1, 1, 1), -1, np.float32)))
    rotated = ops.concat([minus_b, a], -1)
    twice_cos, twice_sin = (ops.concat([each, each], 2) for each in (cos, sin))
    return ops.add(ops.multiply(x, twice_cos), ops.multiply(rotated, twice_sin))


def split_heads(x: Node) -> Node:
    """[n, heads, head] to [1, heads, n, head]."""
    return ops.unsqueeze(ops.transpose(x, ints(1, 0, 2)), int_(0))


def merge_heads(x: Node, width: int) -> Node:
    """[1, heads, n, head] to [n, width]."""
    by_row = ops.transpose(ops.squeeze(x, int_(0)), ints(1, 0, 2))
    return ops.reshape(by_row, ints(0, width), True)


def split(x: Node, axis: int, n: int) -> list[Node]:
    return list(ops.split(x, int_(axis), n).outputs())


def int_(n: int) -> Node:
    return ops.constant(np.int64(n))


def ints(*n: int) -> Node:
    return ops.constant(np.array(n, dtype=np.int64))
