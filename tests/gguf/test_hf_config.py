"""Our shapes, as Hugging Face writes them, are those of the published model."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge.gguf.hf_config import hf_config
from edge.gguf.layout import QWEN3_VL_2B, TINY, Shapes

# Fields of `config.json` of Qwen/Qwen3-VL-2B-Instruct on huggingface.co.
PUBLISHED_TEXT = {
    "head_dim": 128,
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "max_position_embeddings": 262144,
    "num_attention_heads": 16,
    "num_hidden_layers": 28,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-06,
    "tie_word_embeddings": True,
    "vocab_size": 151936,
}
PUBLISHED_VISION = {
    "deepstack_visual_indexes": [5, 11, 17],
    "depth": 24,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_heads": 16,
    "num_position_embeddings": 2304,
    "out_hidden_size": 2048,
    "patch_size": 16,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}


def subset(config: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    return {name: config[name] for name in names}


def test_the_real_model_has_the_published_configuration() -> None:
    config = hf_config(QWEN3_VL_2B, 151936)
    text, vision = config["text_config"], config["vision_config"]
    assert subset(text, PUBLISHED_TEXT) == PUBLISHED_TEXT
    assert subset(vision, PUBLISHED_VISION) == PUBLISHED_VISION
    rope = text["rope_parameters"]
    assert (rope["rope_theta"], rope["mrope_section"]) == (5_000_000, [24, 20, 20])
    assert rope["mrope_interleaved"] is True


@pytest.mark.parametrize("shapes", [QWEN3_VL_2B, TINY])
def test_text_and_vision_fit_together(shapes: Shapes) -> None:
    config = hf_config(shapes, 1024)
    text, vision = config["text_config"], config["vision_config"]
    assert vision["out_hidden_size"] == text["hidden_size"]
    assert 2 * sum(text["rope_parameters"]["mrope_section"]) == text["head_dim"]
    assert max(vision["deepstack_visual_indexes"]) < vision["depth"]
    assert json.loads(json.dumps(config)) == config  # as `config.json` holds it
