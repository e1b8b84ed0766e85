"""`synthetic-2b` as a Hugging Face folder, for servers that read no GGUF files.

    python -m benchmarks.peers.hf_folder FOLDER

The folder has the true shapes of Qwen3-VL-2B and the vocabulary of `synthetic-2b`, but
no weights: vLLM makes random ones, and `benchmarks/results/README.md` has the commands
that add some for OpenVINO's export. Names of the fields: Qwen3-VL's configuration,
processors and tokenizer in Hugging Face Transformers 5.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from edge.gguf.hf_config import hf_config
from edge.gguf.layout import QWEN3_VL_2B
from edge.gguf.synthetic import N_TOKENS, synthetic_vocabulary
from edge.gguf.vocabulary import CHAT_TEMPLATE, Vocabulary

MIN_PIXELS, MAX_PIXELS = 64 * 32**2, 1024 * 32**2  # 64 to 1024 image tokens
# Splits text before the merges, as Qwen2 does.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def write_hf_folder(folder: Path) -> None:
    """Writes all files except the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    words = synthetic_vocabulary(N_TOKENS)
    for name, content in _files(words).items():
        text = json.dumps(content, ensure_ascii=False)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")


def _files(words: Vocabulary) -> dict[str, dict[str, Any]]:
    end, start = words.id_of("<|im_end|>"), words.id_of("<|endoftext|>")
    pixels = {"shortest_edge": MIN_PIXELS, "longest_edge": MAX_PIXELS}
    picture = {
        "patch_size": QWEN3_VL_2B.patch,
        "merge_size": QWEN3_VL_2B.merge,
        "temporal_patch_size": 2,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
        "size": pixels,
    }
    return {
        "config.json": _config(words),
        "generation_config.json": {"eos_token_id": end, "pad_token_id": start},
        "preprocessor_config.json": picture
        | {
            "image_processor_type": "Qwen2VLImageProcessorFast",
            "processor_class": "Qwen3VLProcessor",
            "min_pixels": MIN_PIXELS,
            "max_pixels": MAX_PIXELS,
        },
        "video_preprocessor_config.json": picture
        | {"video_processor_type": "Qwen3VLVideoProcessor"},
        "tokenizer.json": _tokenizer(words),
        "tokenizer_config.json": {
            "tokenizer_class": "Qwen2Tokenizer",
            "processor_class": "Qwen3VLProcessor",
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "errors": "replace",
        },
    }


def _config(words: Vocabulary) -> dict[str, Any]:
    config = hf_config(QWEN3_VL_2B, N_TOKENS)
    del config["attn_implementation"]
    config["text_config"] |= {
        "model_type": "qwen3_vl_text",
        "eos_token_id": words.id_of("<|im_end|>"),
        "use_cache": True,
        "hidden_act": "silu",
    }
    config["vision_config"] |= {
        "model_type": "qwen3_vl",
        "hidden_act": "gelu_pytorch_tanh",
        "in_channels": 3,
    }
    return config | {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "model_type": "qwen3_vl",
        "image_token_id": words.id_of("<|image_pad|>"),
        "video_token_id": words.id_of("<|video_pad|>"),
        "vision_start_token_id": words.id_of("<|vision_start|>"),
        "vision_end_token_id": words.id_of("<|vision_end|>"),
    }


def _tokenizer(words: Vocabulary) -> dict[str, Any]:
    """A byte-level BPE as the library `tokenizers` reads it."""
    control = [
        {
            "id": len(words.plain) + n,
            "content": token,
            "special": True,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
        }
        for n, token in enumerate(words.added)
    ]
    bytes_only = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": False,
        "use_regex": False,
    }
    split = {"type": "Split", "pattern": {"Regex": WORDS}, "behavior": "Isolated"}
    return {
        "version": "1.0",
        "added_tokens": control,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [split | {"invert": False}, bytes_only],
        },
        "decoder": bytes_only,
        "model": {
            "type": "BPE",
            "vocab": {token: n for n, token in enumerate(words.plain)},
            "merges": [list(pair) for pair in words.merges],
            "byte_fallback": False,
            "fuse_unk": False,
        },
    }


if __name__ == "__main__":
    write_hf_folder(Path(sys.argv[1]))
