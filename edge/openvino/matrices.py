"""Forms of a matrix in which OpenVINO's CPU plugin multiplies: arrays that can be kept
in a file, and the product with them."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13 as ops

from edge.gguf import q4_k
from edge.gguf.q4_k import GROUP
from edge.gguf.weights import Floats, Weights
from edge.openvino.nodes import Node, dequantized_node, int_, ints, quantize

N_SUMS = 2  # times that the sums of groups are inputs: see U4

Array = npt.NDArray[Any]
Layout = list[tuple[type[np.generic], int]]  # of each array: type, length of a row


class Form(Protocol):
    def layout(self, width: int) -> Layout:
        """The arrays of a matrix whose rows have this width."""
        ...

    def encode(self, weights: Weights, name: str, rows: slice) -> tuple[Array, ...]:
        """Their rows for some rows of a tensor."""
        ...

    def product(self, x: Node, *arrays: Array) -> Node:
        """f32 [n, rows] of x, f32 [n, width]. The memory of the first array is not
        copied: it must stay valid."""
        ...


class Int8:
    """Quantized from -127 to 127 with a scale for each row."""

    def layout(self, width: int) -> Layout:
        return [(np.int8, width), (np.float32, 1)]

    def encode(self, weights: Weights, name: str, rows: slice) -> tuple[Array, ...]:
        return quantize(weights.rows(name, rows))

    def product(self, x: Node, *arrays: Array) -> Node:
        return ops.matmul(x, dequantized_node(*arrays), False, True)


class U4:
    """The numbers and scales of Q4_K as they are in the GGUF file.

    The plugin's integer kernels know no minimums but zero points, which are integers.
    What a rounded zero point lacks is the same for all 32 weights of a group, so it is
    multiplied with the sum of their inputs: these sums are more inputs, and the matrix
    has a column for each. Four bits are coarse for that; the sums come twice, and
    second columns hold what the first ones lack.
    """

    def layout(self, width: int) -> Layout:
        n_groups = width // GROUP
        n_groups += N_SUMS * -(-n_groups // GROUP)
        numbers = (np.uint8, n_groups * GROUP // 2)  # two in each byte
        return [numbers, (np.float16, n_groups), (np.uint8, n_groups)]

    def encode(self, weights: Weights, name: str, rows: slice) -> tuple[Array, ...]:
        numbers, scale, minimum = q4_k.unpack(weights.packed_rows(name, rows))
        scale = scale.astype(np.float16)
        exact = minimum / np.where(scale == 0, 1, scale)
        zero = np.rint(exact).clip(0, 255).astype(np.uint8)
        parts = [(numbers, scale, zero)]
        lacking = _padded(scale.astype(np.float32) * zero - minimum)
        for _ in range(N_SUMS):
            parts.append(_quantize_u4(lacking))
            lacking = lacking - _dequantize(*parts[-1])
        numbers, scale, zero = (
            np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True)
        )
        numbers = numbers.reshape(len(numbers), -1)
        return numbers[:, ::2] | numbers[:, 1::2] << 4, scale, zero

    def product(self, x: Node, *arrays: Array) -> Node:
        numbers, scale, zero = arrays
        shape = ov.Shape([*scale.shape, GROUP])
        tensor = ov.Tensor(numbers.reshape(-1), shape, ov.Type.u4)
        centred = ops.subtract(
            ops.convert(ov.op.Constant(tensor), "f16"),
            ops.convert(ops.constant(zero[..., None]), "f16"),
        )
        scaled = ops.multiply(centred, ops.constant(scale[..., None]))
        matrix = ops.reshape(scaled, ints(len(scale), scale.shape[1] * GROUP), False)
        return ops.matmul(
            _with_sums(x, scale.shape[1]), ops.convert(matrix, "f32"), False, True
        )


def _padded(matrix: Floats) -> Floats:
    """f32 [n, width] as whole groups, [n, groups, 32]: zeros fill the last one."""
    padded = np.pad(matrix, ((0, 0), (0, -matrix.shape[1] % GROUP)))
    return padded.reshape(len(matrix), -1, GROUP)


def _quantize_u4(groups: Floats) -> tuple[Array, Array, Array]:
    """f32 [n, groups, 32] as numbers u8 of that shape from 0 to 15, scales f16 [n,
    groups] and zero points u8 [n, groups]."""
    low, high = groups.min(axis=2).clip(max=0), groups.max(axis=2).clip(min=0)
    scale = ((high - low) / 15).astype(np.float16)
    steps = np.where(scale == 0, 1, scale).astype(np.float32)
    zero = np.rint(-low / steps).clip(0, 15).astype(np.uint8)
    numbers = np.rint(groups / steps[..., None]) + zero[..., None]
    return numbers.clip(0, 15).astype(np.uint8), scale, zero


def _dequantize(numbers: Array, scale: Array, zero: Array) -> Floats:
    centred = numbers.astype(np.float32) - zero[..., None]
    return centred * scale[..., None].astype(np.float32)


def _with_sums(x: Node, n_groups: int) -> Node:
    """x, and N_SUMS times the sums of its groups with zeros up to whole groups; all in
    all `n_groups`."""
    n_sums = -(-n_groups // (GROUP + N_SUMS))  # in groups, one for each 32 of x
    lacking = n_sums * (GROUP + N_SUMS) - n_groups
    sums = ops.reduce_sum(ops.reshape(x, ints(0, -1, GROUP), True), int_(2))
    if lacking:
        sums = ops.pad(sums, ints(0, 0), ints(0, lacking), "constant", np.float32(0))
    return ops.concat([x, *[sums] * N_SUMS], 1)
