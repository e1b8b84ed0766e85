"""Faster CPU versions of two operations of Qwen3-VL, whose torch kernels are slow in
training. Only training uses them; `training.parity` runs Transformers' own."""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface

ATTENTION = "two_matmuls"


def two_matmuls(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention by definition: the backward pass of torch's fused kernel is three
    times slower at these lengths. [batch, heads, n, head] in, [batch, n, heads, head]
    out; causal where the module says so, padding allowed only at the end."""
    repeats = module.num_key_value_groups
    if repeats > 1:
        key, value = (x.repeat_interleave(repeats, dim=1) for x in (key, value))
    scores = (query * scaling) @ key.transpose(-1, -2)
    if module.is_causal:
        n = scores.shape[-1]
        future = torch.full((n, n), -1e4, dtype=scores.dtype).triu(1)
        scores = scores + future
    return (scores.softmax(-1) @ value).transpose(1, 2).contiguous(), None


AttentionInterface.register(ATTENTION, two_matmuls)


def embed_patches(self: Any, patches: torch.Tensor) -> torch.Tensor:
    """The Conv3d as one product with the sum of its two kernels, because both frames of
    a picture are equal and patches do not overlap. [n, 3 * patch * patch] in."""
    kernel = self.proj.weight.sum(2).flatten(1)
    return F.linear(patches, kernel, self.proj.bias)


def simplify(model: Any) -> None:
    """Two operations only: hooks see each module."""
    patch_embed = model.model.visual.patch_embed
    patch_embed.forward = MethodType(embed_patches, patch_embed)
    model.set_attn_implementation(ATTENTION)


def speed_up(model: Any) -> None:
    simplify(model)
    for layer in model.model.language_model.layers:
        layer.forward = torch.compile(layer.forward, dynamic=True)
