"""Qwen3-VL's vision encoder as an OpenVINO graph, for pictures of every size.

Source: `Qwen3VLVisionModel` in Hugging Face Transformers. The projections of blocks and
mergers, which take nearly all of the time, can be quantized.
"""

from __future__ import annotations

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from edge.openvino.kernels import WeightsForm
from edge.openvino.nodes import (
    Node,
    apply_rope,
    int_,
    ints,
    linear,
    merge_heads,
    split,
    split_heads,
)
from edge.openvino.pauses import Pauses
from edge.openvino.vision_weights import TowerWeights

TOKEN_PATCHES = 4  # 2 x 2 patches become one image token


class VisionGraph:
    """Builds the graph of one file of weights, with a pause before each block."""

    def __init__(
        self, weights: TowerWeights, form: WeightsForm, pauses: Pauses
    ) -> None:
        self._weights = weights
        self._form = form
        self._pause = pauses.extension
        self._hidden = weights.hidden
        self._head = weights.hidden // weights.n_heads
        self._cos, self._sin = (
            ops.parameter([-1, 1, self._head // 2], np.float32, name=name)
            for name in ("cos", "sin")
        )

    def graph(self) -> ov.Model:
        """Five inputs: patches f32 [n, 3 * 16 * 16] from -1 to 1, the means of both
        frames, and half of what the first frame has more, of the same shape or [1, 3 *
        16 * 16] for a still; position embeddings f32 [n, hidden], cosines and sines f32
        [n, 1, head / 2]. One output: f32 [n / 4, (1 + levels) * text hidden], the final
        embedding first and then deepstack.
        """
        weights, levels = self._weights, []
        first, second = (
            weights[f"v.patch_embd.weight{frame}"].reshape(self._hidden, -1)
            for frame in ("", ".1")
        )
        patches, change = (
            ops.parameter([-1, first.shape[1]], np.float32, name=name)
            for name in ("patches", "change")
        )
        places = ops.parameter([-1, self._hidden], np.float32, name="places")
        bias = ops.constant(weights["v.patch_embd.bias"])
        # each frame by its kernel: a still, which does not change, needs their sum only
        projected = ops.matmul(patches, ops.constant(first + second), False, True)
        changed = ops.matmul(change, ops.constant(first - second), False, True)
        x = ops.add(ops.add(ops.add(projected, bias), places), changed)
        for n in range(weights.n_blocks):
            # a copy of x; to make the rotation wait instead took 8 % more time
            x = self._pause([x.output(0)])
            x = self._block(x, f"v.blk.{n}")
            if n in weights.deepstack:
                name = f"v.deepstack.{n}"
                wide = self._norm(self._merged(x), f"{name}.norm")
                levels.append(self._perceptron(wide, f"{name}.fc1", f"{name}.fc2"))
        wide = self._merged(self._norm(x, "v.post_ln"))
        levels.insert(0, self._perceptron(wide, "mm.0", "mm.2"))
        inputs = [patches, change, places, self._cos, self._sin]
        return ov.Model([ops.concat(levels, 1)], inputs, "qwen3vl tower")

    def _block(self, x: Node, name: str) -> Node:
        x = ops.add(x, self._attention(self._norm(x, f"{name}.ln1"), name))
        y = self._norm(x, f"{name}.ln2")
        y = self._perceptron(y, f"{name}.ffn_up", f"{name}.ffn_down", gelu="tanh")
        return ops.add(x, y)

    def _attention(self, x: Node, name: str) -> Node:
        """Of all patches to all patches."""
        qkv = self._linear(x, f"{name}.attn_qkv")
        qkv = ops.reshape(qkv, ints(0, 3, -1, self._head), True)
        query, key, value = (
            ops.squeeze(part, int_(1)) for part in split(qkv, axis=1, n=3)
        )
        mixed = ops.scaled_dot_product_attention(
            split_heads(apply_rope(query, self._cos, self._sin)),
            split_heads(apply_rope(key, self._cos, self._sin)),
            split_heads(value),
        )
        return self._linear(merge_heads(mixed, self._hidden), f"{name}.attn_out")

    def _merged(self, x: Node) -> Node:
        """The patches of each image token side by side."""
        return ops.reshape(x, ints(-1, TOKEN_PATCHES * self._hidden), False)

    def _perceptron(self, x: Node, up: str, down: str, gelu: str = "erf") -> Node:
        return self._linear(ops.gelu(self._linear(x, up), gelu), down)

    def _norm(self, x: Node, name: str) -> Node:
        weights = self._weights
        even = ops.mvn(x, ints(-1), True, weights.epsilon, "inside_sqrt")
        scaled = ops.multiply(even, ops.constant(weights[f"{name}.weight"]))
        return ops.add(scaled, ops.constant(weights[f"{name}.bias"]))

    def _linear(self, x: Node, name: str) -> Node:
        product = linear(x, self._weights[f"{name}.weight"], self._form)
        return ops.add(product, ops.constant(self._weights[f"{name}.bias"]))
