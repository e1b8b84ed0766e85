"""The tiny model in Transformers' own Qwen3-VL classes, with the sizes that
`edge.models.layout` names once for training, export and serving."""

from __future__ import annotations

import math

import torch
from transformers import (
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from edge.models.layout import Shapes
from training.tokens import Tokens


def build(shapes: Shapes, tokens: Tokens) -> Qwen3VLForConditionalGeneration:
    """An untrained model: float32, on the CPU, initialised from torch's own seed.

    Two tensors do not begin with noise, because a small model would spend most of its
    training on finding what is known: what patches and places are made of.
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
    colour differences, each about as loud in pictures: f32 [n_channels, 3, side, side].

    The sum of a patch is worth no more than an edge in it; with random kernels nearly
    all channels carry the sum.
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
    """Rows and columns as sines and cosines of growing frequency, smooth so that sizes
    between are smooth too: f32 [side * side, n_channels]."""
    n = n_channels // 4
    at = torch.arange(side) / (side - 1)
    turns = 0.25 * (2 * side) ** (torch.arange(n) / n)  # a quarter turn up to side / 2
    angle = 2 * math.pi * at[:, None] * turns
    one = torch.cat([angle.sin(), angle.cos()], dim=1)  # [side, n_channels / 2]
    rows = one[:, None].expand(-1, side, -1)
    columns = one[None].expand(side, -1, -1)
    return loud * torch.cat([rows, columns], dim=2).flatten(0, 1)


def configure(s: Shapes, tokens: Tokens) -> Qwen3VLConfig:
    text = {
        "vocab_size": tokens.n_tokens,
        "hidden_size": s.hidden,
        "intermediate_size": s.ffn,
        "num_hidden_layers": s.n_layers,
        "num_attention_heads": s.n_heads,
        "num_key_value_heads": s.n_kv_heads,
        "head_dim": s.head_dim,
        "rms_norm_eps": s.rms_eps,
        "max_position_embeddings": s.n_context,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": s.rope_base,
            "mrope_section": list(s.rope_sections[:3]),
            "mrope_interleaved": True,
        },
        "tie_word_embeddings": True,
        "use_cache": False,
        "initializer_range": s.hidden**-0.5 / 2,
    }
    vision = {
        "hidden_size": s.vision_hidden,
        "intermediate_size": s.vision_ffn,
        "depth": s.vision_n_blocks,
        "num_heads": s.vision_n_heads,
        "patch_size": s.patch,
        "spatial_merge_size": s.merge,
        "temporal_patch_size": 2,
        "out_hidden_size": s.hidden,
        "num_position_embeddings": s.n_positions,
        "deepstack_visual_indexes": list(s.deepstack_blocks),
        "initializer_range": s.vision_hidden**-0.5 / 2,
    }
    return Qwen3VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=tokens.image,
        video_token_id=tokens.id_of("<|video_pad|>"),
        vision_start_token_id=tokens.id_of("<|vision_start|>"),
        vision_end_token_id=tokens.id_of("<|vision_end|>"),
        tie_word_embeddings=True,
        attn_implementation="sdpa",
    )
