"""Qwen3-VL's language model as an OpenVINO graph: any number of tokens of any number of
sequences, over one KV cache of blocks.

Source: `Qwen3VLTextModel` in Hugging Face Transformers. Attention is OpenVINO's
`PagedAttentionExtension` (`src/core/src/op/paged_attention.cpp`), which its own server
uses; its interface is not stable, so `constraints.txt` pins the version.
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
    int_,
    ints,
    linear,
    split,
)
from edge.openvino.quantized_weights import QuantizedWeights


class LanguageGraph:
    """Builds the graph of one file of weights: with its matrices `quantized`, or
    exact without."""

    def __init__(
        self, weights: TextWeights, quantized: QuantizedWeights | None = None
    ) -> None:
        self._weights = weights
        self._quantized = quantized
        self._cos, self._sin = (
            ops.parameter([-1, 1, weights.head // 2], np.float32, name=name)
            for name in ("cos", "sin")
        )
        self._sequences = [
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
        """Ten inputs. Embeddings f32 [n, hidden]; cosines, sines f32 [n, 1, head / 2];
        deepstack embeddings of the first layers, f32 [n, levels * hidden].

        Then about m sequences, whose tokens lie side by side: how many tokens of each
        are in the cache, i32 [m]; where the new ones of each begin, i32 [m + 1]; all
        their block numbers, i32 [blocks]; where those of each begin, i32 [m + 1]; the
        length of the longest with its new tokens, i32 []. And the indices of the wanted
        tokens, i32 [k].

        Then the caches, keys and values of each layer in turn, [blocks, kv heads,
        BLOCK, head], which are written in place. Outputs: logits f32 [k, vocabulary],
        states f32 [k, hidden].
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
        inputs = [
            rows,
            self._cos,
            self._sin,
            added,
            *self._sequences,
            wanted,
            *self._caches,
        ]
        return ov.Model([logits, x], inputs, "qwen3vl")

    def _attention(self, x: Node, n: int) -> Node:
        """Causal within each sequence."""
        weights = self._weights
        key_value = [
            self._flat(self._rotated(x, n, "k"), weights.n_kv_heads),
            self._linear(x, f"blk.{n}.attn_v"),
        ]
        caches = [self._cache(f"{which}_cache.{n}") for which in ("key", "value")]
        self._caches += caches
        query = self._flat(self._rotated(x, n, "q"), weights.n_heads)
        paged = PagedAttention(_outputs(query, *key_value, *caches, *self._options()))
        sizes = {"num_k_heads": weights.n_kv_heads, "k_head_size": weights.head}
        sizes |= {"num_v_heads": weights.n_kv_heads, "v_head_size": weights.head}
        for name, size in sizes.items():
            paged.get_rt_info()[name] = size
        return self._linear(paged.output(0), f"blk.{n}.attn_output")

    def _options(self) -> list[Node]:
        """The other inputs of the operation, in its order. Most of them are features
        that are not used here."""
        *sequences, longest = self._sequences
        integers, floats = np.array([], np.int32), np.array([], np.float32)
        zero, one = np.array(0, np.int32), np.array(1, np.int32)
        before: dict[str, npt.NDArray[np.generic]] = {
            "scale": np.array(self._weights.head**-0.5, np.float32),
            "sliding_window": zero,
            "alibi_slopes": floats,
        }
        behind: dict[str, npt.NDArray[np.generic]] = {
            "score_aggregation_window": integers,
            "rotated_block_indices": integers,
            "rotation_deltas": integers,
            "rotation_trig_lut": floats,
            "xattention_threshold": floats,
            "xattention_block_size": zero,
            "xattention_stride": one,
            "sinks": floats,
            "adaptive_rkv_start_size": zero,
            "adaptive_rkv_evictable_sizes": integers,
            "adaptive_rkv_diversity_block_set_indices": integers,
            "adaptive_rkv_diversity_block_set_indices_begins": integers,
            "token_type_ids": integers,
            "qq_bias": np.array([], np.uint8),
            "qq_bias_begins": integers,
        }
        return [
            *sequences,
            *map(ops.constant, before.values()),
            longest,
            *map(ops.constant, behind.values()),
        ]

    def _cache(self, name: str) -> Node:
        """The plugin decides its element type."""
        weights = self._weights
        shape = [-1, weights.n_kv_heads, BLOCK, weights.head]
        return ops.parameter(ov.PartialShape(shape), np.float32, name=name)

    def _rotated(self, x: Node, n: int, which: str) -> Node:
        """Queries or keys with their positions, f32 [n, heads, head]."""
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
        """RMSNorm, in the form that the CPU plugin fuses into one operation."""
        mean = ops.reduce_mean(ops.power(x, np.float32(2)), int_(-1), True)
        root = ops.sqrt(ops.add(mean, np.float32(self._weights.epsilon)))
        even = ops.multiply(x, ops.divide(np.float32(1), root))
        return ops.multiply(even, ops.constant(self._weights[f"{name}.weight"]))

    def _heads(self, x: Node, name: str) -> Node:
        return ops.reshape(self._linear(x, name), ints(0, -1, self._weights.head), True)

    def _flat(self, x: Node, n_heads: int) -> Node:
        return ops.reshape(x, ints(0, n_heads * self._weights.head), True)

    def _linear(self, x: Node, name: str) -> Node:
        """A projection by one matrix, f32 [n, rows of the matrix]."""
        name = f"{name}.weight"
        if self._quantized is None:
            return linear(x, self._weights[name], "f32")
        return self._quantized.product(x, name)


def _outputs(*nodes: Node) -> list[Node]:
    return [node if isinstance(node, ov.Output) else node.output(0) for node in nodes]
