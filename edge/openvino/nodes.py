"""The few words that graphs for OpenVINO are written in, beside its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from openvino import opset13 as ops

from edge.gguf.weights import Floats

Precision = Literal["int8", "f32"]
Node = Any  # openvino has no types


def linear(x: Node, matrix: Floats, precision: Precision) -> Node:
    """[n, width] times the rows of `matrix`, which is kept as `precision` says."""
    return ops.matmul(x, _KEEP[precision](matrix), False, True)


def quantize(matrix: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Whole numbers from -127 to 127, and a scale for each row, f32 [n, 1]."""
    scale = np.abs(matrix).max(axis=1, keepdims=True) / 127
    whole = np.rint(matrix / np.where(scale == 0, 1, scale)).astype(np.int8)
    return whole, scale.astype(np.float32)


def dequantized_node(whole: npt.NDArray[np.int8], scale: Floats) -> Node:
    """The form of a rounded matrix that the CPU plugin multiplies without expanding it
    in memory. The numbers are not copied: they must stay where they are."""
    numbers = ops.convert(ops.constant(whole, shared_memory=True), "f32")
    return ops.multiply(numbers, ops.constant(scale))


def _int8(matrix: Floats) -> Node:
    return dequantized_node(*quantize(matrix))


_KEEP: dict[Precision, Callable[[Floats], Node]] = {"int8": _int8, "f32": ops.constant}


def apply_rope(x: Node, cos: Node, sin: Node) -> Node:
    """Rotary position embedding of f32 [n, heads, head], whose halves are turned by
    angles with these cosines and sines, f32 [n, 1, head / 2]."""
    a, b = split(x, axis=2, n=2)
    turned = (
        ops.subtract(ops.multiply(a, cos), ops.multiply(b, sin)),
        ops.add(ops.multiply(b, cos), ops.multiply(a, sin)),
    )
    return ops.concat(list(turned), 2)


def by_head(x: Node) -> Node:
    """[n, heads, head] to [1, heads, n, head]."""
    return ops.unsqueeze(ops.transpose(x, ints(1, 0, 2)), int_(0))


def side_by_side(x: Node, width: int) -> Node:
    """[1, heads, n, head] to [n, width]: all heads of a row together."""
    by_row = ops.transpose(ops.squeeze(x, int_(0)), ints(1, 0, 2))
    return ops.reshape(by_row, ints(0, width), True)


def split(x: Node, axis: int, n: int) -> list[Node]:
    return list(ops.split(x, int_(axis), n).outputs())


def int_(n: int) -> Node:
    return ops.constant(np.int64(n))


def ints(*n: int) -> Node:
    return ops.constant(np.array(n, dtype=np.int64))
