"""Shapes as Hugging Face writes them: the fields of a Qwen3-VL `config.json`.

Source: `Qwen3VLConfig` in Hugging Face Transformers.
"""

from __future__ import annotations

from typing import Any

from edge.gguf.layout import Shapes


def hf_config(shapes: Shapes, n_tokens: int) -> dict[str, Any]:
    """Keyword arguments of `Qwen3VLConfig`, without the ids of control tokens."""
    text = {
        "vocab_size": n_tokens,
        "hidden_size": shapes.hidden,
        "intermediate_size": shapes.ffn,
        "num_hidden_layers": shapes.n_layers,
        "num_attention_heads": shapes.n_heads,
        "num_key_value_heads": shapes.n_kv_heads,
        "head_dim": shapes.head_dim,
        "rms_norm_eps": shapes.rms_eps,
        "max_position_embeddings": shapes.n_context,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": shapes.rope_base,
            "mrope_section": list(shapes.rope_sections[:3]),
            "mrope_interleaved": True,
        },
        "tie_word_embeddings": True,
        "use_cache": False,
        "initializer_range": shapes.hidden**-0.5 / 2,
    }
    vision = {
        "hidden_size": shapes.vision_hidden,
        "intermediate_size": shapes.vision_ffn,
        "depth": shapes.vision_n_blocks,
        "num_heads": shapes.vision_n_heads,
        "patch_size": shapes.patch,
        "spatial_merge_size": shapes.merge,
        "temporal_patch_size": 2,
        "out_hidden_size": shapes.hidden,
        "num_position_embeddings": shapes.n_positions,
        "deepstack_visual_indexes": list(shapes.deepstack_blocks),
        "initializer_range": shapes.vision_hidden**-0.5 / 2,
    }
    return {
        "text_config": text,
        "vision_config": vision,
        "tie_word_embeddings": True,
        "attn_implementation": "sdpa",
    }
