"""Qwen3-VL's text layers as an OpenVINO graph, for prompts of every length.

Source: `Qwen3VLTextModel` in Hugging Face Transformers. Only keys and values are of
use, so the last layer ends where it has computed its own.
"""

from __future__ import annotations

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from edge.openvino.nodes import (
    Node,
    Precision,
    by_head,
    int_,
    ints,
    linear,
    side_by_side,
    split,
    turn,
)
from edge.prefill.weights import TextWeights


class Prefill:
    """Builds the graph of one file of weights."""

    def __init__(self, weights: TextWeights, precision: Precision) -> None:
        self._weights = weights
        self._precision = precision
        self._cos, self._sin = (
            ops.parameter([-1, 1, weights.head // 2], np.float32, name=name)
            for name in ("cos", "sin")
        )

    def graph(self) -> ov.Model:
        """Four inputs: rows f32 [n, hidden], cosines and sines f32 [n, 1, head / 2],
        and what is added after the first layers, f32 [n, levels * hidden].

        Outputs: keys and values of each layer in turn, f16 [n, kv heads * head].
        """
        weights, kept = self._weights, []
        rows = x = ops.parameter([-1, weights.hidden], np.float32, name="rows")
        width = weights.n_levels * weights.hidden
        added = ops.parameter([-1, width], np.float32, name="added")
        levels = split(added, axis=1, n=weights.n_levels)
        for n in range(weights.n_layers):
            normed = self._norm(x, f"blk.{n}.attn_norm")
            key = self._turned(normed, n, "k")
            value = self._heads(normed, f"blk.{n}.attn_v")
            kept += [self._flat(key), self._flat(value)]
            if n == weights.n_layers - 1:
                break
            x = ops.add(x, self._attention(normed, key, value, n))
            x = ops.add(x, self._feed_forward(x, f"blk.{n}"))
            if n < weights.n_levels:
                x = ops.add(x, levels[n])
        return ov.Model(kept, [rows, self._cos, self._sin, added], "qwen3vl prefill")

    def _attention(self, x: Node, key: Node, value: Node, n: int) -> Node:
        """Every token looks at itself and those before it."""
        weights = self._weights
        # Each head of keys and values serves several of queries.
        times = weights.n_heads // weights.n_kv_heads
        served = ints(*np.repeat(np.arange(weights.n_kv_heads), times))
        mixed = ops.scaled_dot_product_attention(
            by_head(self._turned(x, n, "q")),
            by_head(ops.gather(key, served, int_(1))),
            by_head(ops.gather(value, served, int_(1))),
            causal=True,
        )
        joined = side_by_side(mixed, weights.n_heads * weights.head)
        return self._linear(joined, f"blk.{n}.attn_output")

    def _turned(self, x: Node, n: int, which: str) -> Node:
        """Queries or keys, f32 [n, heads, head]."""
        heads = self._heads(x, f"blk.{n}.attn_{which}")
        return turn(
            self._norm(heads, f"blk.{n}.attn_{which}_norm"), self._cos, self._sin
        )

    def _feed_forward(self, x: Node, name: str) -> Node:
        x = self._norm(x, f"{name}.ffn_norm")
        gate = ops.swish(self._linear(x, f"{name}.ffn_gate"))
        up = self._linear(x, f"{name}.ffn_up")
        return self._linear(ops.multiply(gate, up), f"{name}.ffn_down")

    def _norm(self, x: Node, name: str) -> Node:
        """RMSNorm, in the form that the CPU plugin knows as one operation."""
        mean = ops.reduce_mean(ops.power(x, np.float32(2)), int_(-1), True)
        root = ops.sqrt(ops.add(mean, np.float32(self._weights.epsilon)))
        even = ops.multiply(x, ops.divide(np.float32(1), root))
        return ops.multiply(even, ops.constant(self._weights[f"{name}.weight"]))

    def _heads(self, x: Node, name: str) -> Node:
        return ops.reshape(self._linear(x, name), ints(0, -1, self._weights.head), True)

    def _flat(self, x: Node) -> Node:
        weights = self._weights
        flat = ops.reshape(x, ints(0, weights.n_kv_heads * weights.head), True)
        return ops.convert(flat, "f16")

    def _linear(self, x: Node, name: str) -> Node:
        return linear(x, self._weights[f"{name}.weight"], self._precision)
