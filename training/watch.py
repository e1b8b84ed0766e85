"""The vision tower at work: its states, for training it without the language model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from transformers.models.qwen3_vl import modeling_qwen3_vl as qwen

from training.finding import LOOKING
from training.looks import Look


@dataclass
class Watched:
    """States of the tower, [pictures, patches, width] each."""

    patches: torch.Tensor  # what they show, with their positions
    positions: torch.Tensor  # alone, [patches, width]
    blocks: list[torch.Tensor]  # after each
    looking: torch.Tensor  # attention of the heads LOOKING


def watch(visual: Any, seen: Look) -> Watched:
    """As Qwen3VLVisionModel.forward, for pictures of one grid at once."""
    rows, columns = seen.grid
    grid = torch.tensor([[1, 2 * rows, 2 * columns]])
    merge = visual.spatial_merge_size
    index, share = qwen.get_vision_interpolation_indices_and_weights(
        grid,
        num_grid_per_side=visual.num_grid_per_side,
        mode=visual.interpolation_mode,
        align_corners=visual.interpolation_align_corners,
        spatial_merge_size=merge,
        kwargs={},
    )
    at = qwen.get_vision_position_ids(grid, merge, kwargs={})
    pixels = torch.from_numpy(seen.patches).float().div(127.5).sub(1.0)
    proj = visual.patch_embed.proj  # see `fast.embed_patches`
    x = F.linear(pixels, proj.weight.sum(2).flatten(1), proj.bias).float()
    position = (visual.pos_embed(index) * share[:, :, None]).sum(1)
    x = x + position
    first = x
    turns = visual.rotary_pos_emb(x, at)
    states = []
    looking_block, heads = LOOKING
    for n, block in enumerate(visual.blocks):
        found, attention = _attend(block.attn, block.norm1(x), *turns)
        x = x + found
        x = x + block.mlp(block.norm2(x))
        states.append(x)
        if n == looking_block:
            looking = attention[:, list(heads)]
    return Watched(first, position, states, looking)


def _attend(
    attn: Any, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    q, k, v = attn.qkv(x).unflatten(-1, (3, attn.num_heads, -1)).unbind(2)
    q, k = qwen.apply_rotary_pos_emb_vision(q, k, cos, sin)
    q, k, v = (one.transpose(1, 2) for one in (q, k, v))
    attention = ((q * attn.scaling) @ k.transpose(-1, -2)).softmax(-1)
    mixed = attention.to(v.dtype) @ v
    return attn.proj(mixed.transpose(1, 2).flatten(2)), attention


def levels(visual: Any, states: list[torch.Tensor]) -> list[torch.Tensor]:
    """What the language model reads, [pictures, cells, hidden]: the merged cells, and
    those of each level of deepstack."""
    deep = [states[block] for block in visual.deepstack_visual_indexes]
    mergers = [visual.merger, *visual.deepstack_merger_list]
    pairs = zip(mergers, [states[-1], *deep], strict=True)
    return [merger(state).unflatten(0, (len(state), -1)) for merger, state in pairs]


def shift(new: list[torch.Tensor], old: list[torch.Tensor]) -> torch.Tensor:
    """How far cells are from what they were, as a share of their variance."""
    shares = [
        F.mse_loss(a[: len(b)].float(), b.float()) / b.float().var()
        for a, b in zip(new, old, strict=True)
    ]
    return torch.stack(shares).mean()
