"""Where the language model looks while it writes a box.

Without being told, it would have to find by chance that each digit is written in the
cells of the object. So two attention heads of a middle layer are told: one for each
group of keys, before each digit.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from transformers.models.qwen3_vl import modeling_qwen3_vl as qwen

from training.batch import TextInput

LAYER: Final = 2
HEADS: Final = (0, 3)
LEAST: Final = 1e-3  # of attention, where there is none


class Minding:
    """Keeps what the layer reads, and has the loss of where its heads look."""

    def __init__(self, text_model: Any) -> None:
        self._layer = text_model.layers[LAYER]
        self._layer.register_forward_pre_hook(self._keep, with_kwargs=True)

    def _keep(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._read, self._turns = args[0], kwargs["position_embeddings"]

    def loss(self, text: TextInput) -> torch.Tensor:
        """Of the text that was read last."""
        attn = self._layer.self_attn
        state = self._layer.input_layernorm(self._read)
        shape = (*state.shape[:2], -1, attn.head_dim)
        q = attn.q_norm(attn.q_proj(state).view(shape)).transpose(1, 2)
        k = attn.k_norm(attn.k_proj(state).view(shape)).transpose(1, 2)
        q, k = qwen.apply_rotary_pos_emb(q, k, *self._turns)
        rows, at = torch.from_numpy(text.looking).T
        there = torch.from_numpy(text.objects)
        future = torch.arange(state.shape[1]) > at[:, None]
        total = state.new_zeros((), dtype=torch.float32)
        for head in HEADS:
            keys = k[rows, head // attn.num_key_value_groups]  # [digits, n, head_dim]
            scores = (keys @ q[rows, head, at, :, None])[..., 0].float() * attn.scaling
            shares = scores.masked_fill(future, -1e4).softmax(-1)
            total = total - ((shares * there).sum(-1) + LEAST).log().mean()
        return total / len(HEADS)
