"""The tiny model in Transformers' own Qwen3-VL classes, with the sizes that
`edge.gguf.layout` names once for training, export and serving."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from edge.gguf.hf_config import hf_config
from edge.gguf.layout import Shapes
from training.batch import Batch
from training.tokens import Tokens


def build(shapes: Shapes, tokens: Tokens) -> Qwen3VLForConditionalGeneration:
    """An untrained model: float32, on the CPU, initialised from torch's own seed.

    Two tensors are not initialised with noise: a small model would spend most of its
    training on finding good patch kernels and position embeddings.
    """
    model = Qwen3VLForConditionalGeneration(configure(shapes, tokens))
    visual = model.model.visual
    with torch.no_grad():
        frame = cosines(shapes.vision_hidden, shapes.patch) / 2  # two equal frames
        visual.patch_embed.proj.weight.copy_(
            frame[:, :, None].expand(-1, -1, 2, -1, -1)
        )
        visual.patch_embed.proj.bias.zero_()
        side = shapes.image_size // shapes.patch
        visual.pos_embed.weight.copy_(waves(shapes.vision_hidden, side))
    return model


def cosines(n_channels: int, side: int) -> torch.Tensor:
    """The low frequencies of the discrete cosine transform, of brightness and of two
    colour differences, scaled to similar energy in pictures: f32 [n_channels, 3, side,
    side].

    The mean of a patch matters as little as one edge in it; with random kernels nearly
    all channels would carry the mean.
    """
    at = (torch.arange(side) + 0.5) * math.pi / side
    n = math.isqrt(n_channels // 3)
    colours = torch.tensor([[1.0, 1, 1], [1, -1, 0], [0.5, 0.5, -1]])
    colours /= colours.norm(dim=1, keepdim=True)
    kernels = []
    for u in range(n):
        for v in range(n):
            wave = torch.outer(torch.cos(u * at), torch.cos(v * at))
            loud = (1 if u + v == 0 else 2 + 4 * (u + v)) / wave.norm() / side
            kernels += [loud * c[:, None, None] * wave for c in colours]
    kernels += [torch.zeros(3, side, side)] * (n_channels - len(kernels))
    return torch.stack(kernels)


def waves(n_channels: int, side: int, loud: float = 0.3) -> torch.Tensor:
    """Rows and columns as sines and cosines of growing frequency, smooth so that they
    can be interpolated: f32 [side * side, n_channels]."""
    n = n_channels // 4
    at = torch.arange(side) / (side - 1)
    # from a quarter period to side / 2 periods
    turns = 0.25 * (2 * side) ** (torch.arange(n) / n)
    angle = 2 * math.pi * at[:, None] * turns
    one = torch.cat([angle.sin(), angle.cos()], dim=1)  # [side, n_channels / 2]
    rows = one[:, None].expand(-1, side, -1)
    columns = one[None].expand(side, -1, -1)
    return loud * torch.cat([rows, columns], dim=2).flatten(0, 1)


def configure(shapes: Shapes, tokens: Tokens) -> Qwen3VLConfig:
    return Qwen3VLConfig(
        **hf_config(shapes, tokens.n_tokens),
        image_token_id=tokens.image,
        video_token_id=tokens.id_of("<|video_pad|>"),
        vision_start_token_id=tokens.id_of("<|vision_start|>"),
        vision_end_token_id=tokens.id_of("<|vision_end|>"),
    )


@dataclass
class States:
    """Hidden states of one batch."""

    last: list[torch.Tensor]  # before the output head, [batch, n, hidden] of each text
    seen: torch.Tensor  # of the vision tower's last block, [n_patches, vision hidden]


def forward(model: Any, batch: Batch) -> States:
    """As Qwen3VLModel.forward, without its search for pictures and positions, which the
    batch already has, and with each picture encoded once for all rows that show it."""
    pixels = torch.from_numpy(batch.patches).float().div(127.5).sub(1.0)
    visual, text_model = model.model.visual, model.model.language_model
    seen = visual(pixels, torch.from_numpy(batch.grids))
    states = States([], seen.last_hidden_state)
    for text in batch.texts:
        ids, cells = torch.from_numpy(text.ids), torch.from_numpy(text.cells)
        is_picture = ids == model.config.image_token_id
        embedded = text_model.embed_tokens(ids)
        embedded = embedded.masked_scatter(
            is_picture[..., None], seen.pooler_output[cells].to(embedded.dtype)
        )
        hidden = text_model(
            inputs_embeds=embedded,
            position_ids=torch.from_numpy(text.positions),
            visual_pos_masks=is_picture,
            deepstack_visual_embeds=[level[cells] for level in seen.deepstack_features],
            use_cache=False,
        )
        states.last.append(hidden.last_hidden_state)
    return states
