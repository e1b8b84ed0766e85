"""Qwen3-VL's vision tower as an OpenVINO graph, for pictures of every size.

Source: `Qwen3VLVisionModel` in Hugging Face Transformers. The projections of the blocks
and mergers, where all the time goes, may hold their weights as whole numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from edge.vision.weights import Floats, TowerWeights

Precision = Literal["int8", "f32"]
Node = Any  # openvino has no types

CELL_PATCHES = 4  # a cell, which becomes one token, is 2 x 2 patches


class Tower:
    """Builds the graph of one file of weights."""

    def __init__(self, weights: TowerWeights, precision: Precision) -> None:
        self._weights = weights
        self._precision = precision
        self._hidden = weights.hidden
        self._head = weights.hidden // weights.n_heads
        self._cos, self._sin = (
            ops.parameter([-1, 1, self._head // 2], np.float32, name=name)
            for name in ("cos", "sin")
        )

    def graph(self) -> ov.Model:
        """Four inputs: patches f32 [n, 3 * 16 * 16] from -1 to 1, what is learnt about
        their places f32 [n, hidden], cosines and sines f32 [n, 1, head / 2]. One
        output: f32 [n / 4, 4 * text hidden], the last level first and then deepstack.
        """
        weights, levels = self._weights, []
        # Both frames of a still picture are equal: one kernel for their sum.
        kernel = weights["v.patch_embd.weight"] + weights["v.patch_embd.weight.1"]
        kernel = kernel.reshape(self._hidden, -1)
        patches = ops.parameter([-1, kernel.shape[1]], np.float32, name="patches")
        places = ops.parameter([-1, self._hidden], np.float32, name="places")
        bias = ops.constant(weights["v.patch_embd.bias"])
        seen = ops.matmul(patches, ops.constant(kernel), False, True)
        x = ops.add(ops.add(seen, bias), places)
        for n in range(weights.n_blocks):
            x = self._block(x, f"v.blk.{n}")
            if n in weights.deepstack:
                name = f"v.deepstack.{n}"
                wide = self._norm(self._cells(x), f"{name}.norm")
                levels.append(self._perceptron(wide, f"{name}.fc1", f"{name}.fc2"))
        wide = self._cells(self._norm(x, "v.post_ln"))
        levels.insert(0, self._perceptron(wide, "mm.0", "mm.2"))
        inputs = [patches, places, self._cos, self._sin]
        return ov.Model([ops.concat(levels, 1)], inputs, "qwen3vl tower")

    def _block(self, x: Node, name: str) -> Node:
        x = ops.add(x, self._attention(self._norm(x, f"{name}.ln1"), name))
        y = self._norm(x, f"{name}.ln2")
        y = self._perceptron(y, f"{name}.ffn_up", f"{name}.ffn_down", gelu="tanh")
        return ops.add(x, y)

    def _attention(self, x: Node, name: str) -> Node:
        """Every patch looks at all patches of its picture."""
        qkv = self._linear(x, f"{name}.attn_qkv")
        qkv = ops.reshape(qkv, _ints(0, 3, -1, self._head), True)
        query, key, value = (
            ops.squeeze(part, _int(1)) for part in _split(qkv, axis=1, n=3)
        )
        mixed = ops.scaled_dot_product_attention(
            self._by_head(self._turn(query)),
            self._by_head(self._turn(key)),
            self._by_head(value),
        )
        mixed = ops.transpose(ops.squeeze(mixed, _int(0)), _ints(1, 0, 2))
        return self._linear(
            ops.reshape(mixed, _ints(0, self._hidden), True), f"{name}.attn_out"
        )

    def _turn(self, x: Node) -> Node:
        """Rotary position embedding of f32 [n, heads, head]."""
        a, b = _split(x, axis=2, n=2)
        turned = (
            ops.subtract(ops.multiply(a, self._cos), ops.multiply(b, self._sin)),
            ops.add(ops.multiply(b, self._cos), ops.multiply(a, self._sin)),
        )
        return ops.concat(list(turned), 2)

    def _by_head(self, x: Node) -> Node:
        """[n, heads, head] to [1, heads, n, head]."""
        return ops.unsqueeze(ops.transpose(x, _ints(1, 0, 2)), _int(0))

    def _cells(self, x: Node) -> Node:
        """The patches of each cell side by side."""
        return ops.reshape(x, _ints(-1, CELL_PATCHES * self._hidden), False)

    def _perceptron(self, x: Node, up: str, down: str, gelu: str = "erf") -> Node:
        return self._linear(ops.gelu(self._linear(x, up), gelu), down)

    def _norm(self, x: Node, name: str) -> Node:
        weights = self._weights
        even = ops.mvn(x, _ints(-1), True, weights.epsilon, "inside_sqrt")
        scaled = ops.multiply(even, ops.constant(weights[f"{name}.weight"]))
        return ops.add(scaled, ops.constant(weights[f"{name}.bias"]))

    def _linear(self, x: Node, name: str) -> Node:
        matrix = self._weights[f"{name}.weight"]
        bias = ops.constant(self._weights[f"{name}.bias"])
        kept = KEEP[self._precision](matrix)
        return ops.add(ops.matmul(x, kept, False, True), bias)


def _int8(matrix: Floats) -> Node:
    """Whole numbers from -127 to 127 and a scale for each row: the form that the CPU
    plugin multiplies without expanding it again."""
    scale = np.abs(matrix).max(axis=1, keepdims=True) / 127
    whole = np.rint(matrix / np.where(scale == 0, 1, scale)).astype(np.int8)
    expanded = ops.convert(ops.constant(whole), "f32")
    return ops.multiply(expanded, ops.constant(scale.astype(np.float32)))


KEEP: dict[Precision, Callable[[Floats], Node]] = {"int8": _int8, "f32": ops.constant}


def _split(x: Node, axis: int, n: int) -> list[Node]:
    return list(ops.split(x, _int(axis), n).outputs())


def _int(n: int) -> Node:
    return ops.constant(np.int64(n))


def _ints(*n: int) -> Node:
    return ops.constant(np.array(n, dtype=np.int64))
