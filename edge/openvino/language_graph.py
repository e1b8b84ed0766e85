"""Qwen3-VL's language model as an OpenVINO graph: any number of rows of any number of
sequences, over one cache of blocks.

Source: `Qwen3VLTextModel` in Hugging Face Transformers. Attention is OpenVINO's
`PagedAttentionExtension` (`src/core/src/op/paged_attention.cpp`), which its own server
uses; it is no stable interface, so `constraints.txt` pins the version.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13 as ops
from openvino.op import _PagedAttentionExtension as PagedAttention

from edge.openvino.blocks import BLOCK
from edge.openvino.language_weights import TextWeights
from edge.openvino.nodes import (
    Node,
    apply_rope,
    dequantized_node,
    int_,
    ints,
    linear,
    split,
)
from edge.openvino.quantized_weights import QuantizedWeights


class LanguageGraph:
    """Builds the graph of one file of weights: rounded, as they are `quantized`, or
    exact."""

    def __init__(
        self, weights: TextWeights, quantized: QuantizedWeights | None = None
    ) -> None:
        self._weights = weights
        self._quantized = quantized
        self._cos, self._sin = (
            ops.parameter([-1, 1, weights.head // 2], np.float32, name=name)
            for name in ("cos", "sin")
        )
        self._who = [
            ops.parameter(shape, np.int32, name=name)
            for name, shape in (
                ("past_lens", [-1]),
                ("subsequence_begins", [-1]),
                ("block_indices", [-1]),
                ("block_indices_begins", [-1]),
                ("max_context_len", []),
            )
        ]
        self._caches: list[Node] = []

    def graph(self) -> ov.Model:
        """Ten inputs. Rows f32 [n, hidden], cosines and sines f32 [n, 1, head / 2], and
        what is added after the first layers, f32 [n, levels * hidden]. Of each of m
        sequences, whose rows lie one after the other, how many tokens the cache holds,
        i32 [m]; where its rows begin, i32 [m + 1]; the numbers of all their blocks, and
        where those of each begin, i32 [m + 1]; how many tokens the longest will have,
        i32 []. And the rows whose next token is wanted, i32 [k].

        Then keys and values of each layer in turn, [blocks, kv heads, BLOCK, head],
        which are written in place. Output: logits f32 [k, vocabulary].
        """
        weights = self._weights
        rows = x = ops.parameter([-1, weights.hidden], np.float32, name="rows")
        width = weights.n_levels * weights.hidden
        added = ops.parameter([-1, width], np.float32, name="added")
        wanted = ops.parameter([-1], np.int32, name="wanted")
        levels = split(added, axis=1, n=weights.n_levels)
        for n in range(weights.n_layers):
            x = ops.add(x, self._attention(self._norm(x, f"blk.{n}.attn_norm"), n))
            x = ops.add(x, self._feed_forward(x, f"blk.{n}"))
            if n < weights.n_levels:
                x = ops.add(x, levels[n])
        x = self._norm(ops.gather(x, wanted, int_(0)), "output_norm")
        logits = self._linear(x, weights.head_name)
        inputs = [rows, self._cos, self._sin, added, *self._who, wanted, *self._caches]
        return ov.Model([logits], inputs, "qwen3vl")

    def _attention(self, x: Node, n: int) -> Node:
        """Every token looks at itself and those before it in its sequence."""
        weights = self._weights
        key_value = [
            self._flat(self._turned(x, n, "k"), weights.n_kv_heads),
            self._linear(x, f"blk.{n}.attn_v"),
        ]
        caches = [self._cache(f"{which}_cache.{n}") for which in ("key", "value")]
        self._caches += caches
        query = self._flat(self._turned(x, n, "q"), weights.n_heads)
        paged = PagedAttention(_outputs(query, *key_value, *caches, *self._options()))
        sizes = {"num_k_heads": weights.n_kv_heads, "k_head_size": weights.head}
        sizes |= {"num_v_heads": weights.n_kv_heads, "v_head_size": weights.head}
        for name, size in sizes.items():
            paged.get_rt_info()[name] = size
        return self._linear(paged.output(0), f"blk.{n}.attn_output")

    def _options(self) -> list[Node]:
        """What else it wants to know, in its order. Most is for what we do not do:
        windows, biases, scores, rotated or sparse caches, sinks, eviction, trees."""
        *who, longest = self._who
        scale = np.array(self._weights.head**-0.5, np.float32)
        numbers, floats = np.array([], np.int32), np.array([], np.float32)
        zero = np.array(0, np.int32)
        constants: list[npt.NDArray[np.generic]] = [
            *(numbers, numbers, numbers, floats),  # scores, rotation
            *(floats, zero, np.array(1, np.int32), floats),  # sparsity, sinks
            *(zero, numbers, numbers, numbers),  # eviction
            *(numbers, np.array([], np.uint8), numbers),  # kinds of tokens, trees
        ]
        before = [ops.constant(each) for each in (scale, zero, floats)]
        return [*who, *before, longest, *map(ops.constant, constants)]

    def _cache(self, name: str) -> Node:
        """Of which type, the plugin decides."""
        weights = self._weights
        shape = [-1, weights.n_kv_heads, BLOCK, weights.head]
        return ops.parameter(ov.PartialShape(shape), np.float32, name=name)

    def _turned(self, x: Node, n: int, which: str) -> Node:
        """Queries or keys, f32 [n, heads, head]."""
        heads = self._heads(x, f"blk.{n}.attn_{which}")
        return apply_rope(
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

    def _flat(self, x: Node, n_heads: int) -> Node:
        return ops.reshape(x, ints(0, n_heads * self._weights.head), True)

    def _linear(self, x: Node, name: str) -> Node:
        """[n, width] times the rows of a matrix."""
        name = f"{name}.weight"
        if self._quantized is None:
            return linear(x, self._weights[name], "f32")
        return ops.matmul(x, dequantized_node(*self._quantized[name]), False, True)


def _outputs(*nodes: Node) -> list[Node]:
    return [node if isinstance(node, ov.Output) else node.output(0) for node in nodes]
