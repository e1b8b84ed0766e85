"""A Qwen3-VL of the smallest size with random weights, as a pair of GGUF files.

It is the true architecture (`qwen3vl` and its `qwen3vl_merger` vision tower), so all
code that serves the real model runs on it in milliseconds. Its answers are babble,
made of whole words and different for every picture.

The names of the keys come from the GGUF specification through the `gguf` package;
which of them count, and the names of the tensors, llama.cpp says in
`src/models/qwen3vl.cpp`, `tools/mtmd/clip.cpp` and `tools/mtmd/clip-impl.h`.
This module knows nothing of llama.cpp itself, nor of where models are kept.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod, sqrt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from gguf import (
    GGML_QUANT_VERSION,
    GGUFType,
    GGUFWriter,
    LlamaFileType,
    TokenType,
    VisionProjectorType,
)

from edge.models.byte_vocab import CHAT_TEMPLATE, Vocabulary, picture_vocabulary

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Shapes:
    """Every size in the pair."""

    hidden: int = 128
    n_layers: int = 4
    n_heads: int = 4
    n_kv_heads: int = 2
    head_dim: int = 32
    ffn: int = 256
    rope_sections: Shape = (6, 5, 5, 0)  # time, height, width: half a head in all
    rope_base: float = 5e6
    rms_eps: float = 1e-6
    n_context: int = 32768

    vision_hidden: int = 64
    vision_n_blocks: int = 4
    vision_n_heads: int = 4  # rope turns pairs of y and x: a head divides by 4
    vision_ffn: int = 128
    vision_eps: float = 1e-6
    patch: int = 16
    merge: int = 2
    image_size: int = 256  # each of its patches has a position; others interpolate
    deepstack_blocks: Shape = (0, 1, 2)  # the n-th is added after text layer n

    @property
    def n_positions(self) -> int:
        return (self.image_size // self.patch) ** 2


TINY: Final = Shapes()

# Inputs of size 1 give outputs of size 1, except where that makes poor babble.
GAIN: Final = {
    "patch_embd": 4.0,  # the pixels speak louder than their position
    "attn_q_norm": 2.0,  # a word looks at a few places, not at the mean of all
    "attn_k_norm": 2.0,
    "attn_output": 0.5,  # the last word counts as much as all before it
    "output_norm": -4.0,  # negative: a word speaks against itself, so none repeats
}
# Rows of the embedding, which is also the output: a quiet token is never chosen.
LOUD_ENGLISH: Final = 1.0
LOUD_CHINESE: Final = 0.75
QUIET: Final = 0.05


def write_pair(folder: Path, *, seed: int = 0) -> tuple[Path, Path]:
    """Write `tiny.gguf` and `mmproj-tiny.gguf`; equal seeds give equal bytes."""
    rng = np.random.default_rng(seed)
    files = {
        "tiny.gguf": _text_model(TINY, picture_vocabulary(), rng),
        "mmproj-tiny.gguf": _vision_tower(TINY, rng),
    }
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".unfinished-") as unfinished:
        for name, file in files.items():
            file.write_header_to_file(Path(unfinished, name))
            file.write_kv_data_to_file()
            file.write_tensors_to_file()
            file.close()
        for name in files:
            os.replace(Path(unfinished, name), folder / name)
    text, vision = (folder / name for name in files)
    return text, vision


def _text_model(s: Shapes, words: Vocabulary, rng: np.random.Generator) -> GGUFWriter:
    file = _new_file("qwen3vl", GGUFType.MODEL)
    file.add_block_count(s.n_layers)
    file.add_context_length(s.n_context)
    file.add_embedding_length(s.hidden)
    file.add_feed_forward_length(s.ffn)
    file.add_head_count(s.n_heads)
    file.add_head_count_kv(s.n_kv_heads)
    file.add_key_length(s.head_dim)
    file.add_value_length(s.head_dim)
    file.add_rope_dimension_sections(s.rope_sections)
    file.add_rope_freq_base(s.rope_base)
    file.add_layer_norm_rms_eps(s.rms_eps)
    file.add_num_deepstack_layers(len(s.deepstack_blocks))

    kinds = {TokenType.NORMAL: words.plain, TokenType.CONTROL: words.control}
    file.add_tokenizer_model("gpt2")
    file.add_tokenizer_pre("qwen2")
    file.add_token_list(words.tokens)
    file.add_token_types([kind for kind in kinds for _ in kinds[kind]])
    file.add_token_merges([f"{left} {right}" for left, right in words.merges])
    file.add_bos_token_id(words.id_of("<|endoftext|>"))
    file.add_eos_token_id(words.id_of("<|im_end|>"))
    file.add_pad_token_id(words.id_of("<|endoftext|>"))
    file.add_add_bos_token(False)
    file.add_chat_template(CHAT_TEMPLATE)

    loudness = np.full((len(words.tokens), 1), QUIET)
    loudness[list(words.english)] = LOUD_ENGLISH
    loudness[list(words.chinese)] = LOUD_CHINESE
    for name, shape in _text_tensors(s, len(words.tokens)).items():
        weights = _random(name, shape, rng)
        if name == "token_embd.weight":
            weights *= loudness
        file.add_tensor(name, weights.astype(_dtype(name, shape)))
    return file


def _vision_tower(s: Shapes, rng: np.random.Generator) -> GGUFWriter:
    file = _new_file("clip", GGUFType.MMPROJ)
    file.add_clip_has_vision_encoder(True)
    file.add_clip_projector_type(VisionProjectorType.QWEN3VL)
    file.add_vision_projection_dim(s.hidden)
    file.add_vision_image_size(s.image_size)
    file.add_vision_patch_size(s.patch)
    file.add_vision_spatial_merge_size(s.merge)
    file.add_vision_embedding_length(s.vision_hidden)
    file.add_vision_feed_forward_length(s.vision_ffn)
    file.add_vision_block_count(s.vision_n_blocks)
    file.add_vision_head_count(s.vision_n_heads)
    file.add_vision_attention_layernorm_eps(s.vision_eps)
    file.add_vision_image_mean([0.5, 0.5, 0.5])
    file.add_vision_image_std([0.5, 0.5, 0.5])
    file.add_vision_use_gelu(True)
    file.add_vision_is_deepstack_layers(
        [block in s.deepstack_blocks for block in range(s.vision_n_blocks)]
    )
    for name, shape in _vision_tensors(s).items():
        weights = _random(name, shape, rng)
        file.add_tensor(name, weights.astype(_dtype(name, shape)))
    return file


def _new_file(architecture: str, kind: str) -> GGUFWriter:
    file = GGUFWriter(None, architecture)
    file.add_type(kind)
    file.add_name("tiny")
    file.add_description("Random weights: the architecture is true, the answers not.")
    file.add_file_type(LlamaFileType.MOSTLY_F16)
    file.add_quantization_version(GGML_QUANT_VERSION)
    return file


def _text_tensors(s: Shapes, n_tokens: int) -> dict[str, Shape]:
    heads, kv_heads = s.n_heads * s.head_dim, s.n_kv_heads * s.head_dim
    layer = {
        "attn_norm": (s.hidden,),
        "attn_q": (heads, s.hidden),
        "attn_q_norm": (s.head_dim,),
        "attn_k": (kv_heads, s.hidden),
        "attn_k_norm": (s.head_dim,),
        "attn_v": (kv_heads, s.hidden),
        "attn_output": (s.hidden, heads),
        "ffn_norm": (s.hidden,),
        "ffn_gate": (s.ffn, s.hidden),
        "ffn_up": (s.ffn, s.hidden),
        "ffn_down": (s.hidden, s.ffn),
    }
    parts = {
        "token_embd": (n_tokens, s.hidden),
        **_numbered("blk", range(s.n_layers), layer),
        "output_norm": (s.hidden,),
    }
    return {f"{part}.weight": shape for part, shape in parts.items()}


def _vision_tensors(s: Shapes) -> dict[str, Shape]:
    hidden, merged = s.vision_hidden, s.vision_hidden * s.merge**2
    frame = (hidden, 3, s.patch, s.patch)
    block = {
        "ln1": (hidden,),
        "attn_qkv": (3 * hidden, hidden),
        "attn_out": (hidden, hidden),
        "ln2": (hidden,),
        "ffn_up": (s.vision_ffn, hidden),
        "ffn_down": (hidden, s.vision_ffn),
    }
    level = {"norm": (merged,), "fc1": (merged, merged), "fc2": (s.hidden, merged)}
    parts = {
        **_numbered("v.blk", range(s.vision_n_blocks), block),
        **_numbered("v.deepstack", s.deepstack_blocks, level),
        "v.post_ln": (hidden,),
        "mm.0": (merged, merged),
        "mm.2": (s.hidden, merged),
    }
    return {
        "v.patch_embd.weight": frame,
        "v.patch_embd.weight.1": frame,  # a patch is two frames; a picture is both
        "v.patch_embd.bias": (hidden,),
        "v.position_embd.weight": (s.n_positions, hidden),
        **{f"{part}.weight": shape for part, shape in parts.items()},
        **{f"{part}.bias": shape[:1] for part, shape in parts.items()},
    }


def _numbered(
    prefix: str, numbers: Iterable[int], parts: dict[str, Shape]
) -> dict[str, Shape]:
    return {f"{prefix}.{n}.{part}": parts[part] for n in numbers for part in parts}


def _random(name: str, shape: Shape, rng: np.random.Generator) -> Any:
    gain = prod(GAIN.get(part, 1.0) for part in name.split("."))
    if name.endswith(".bias"):
        return 0.1 * rng.standard_normal(shape)
    if len(shape) == 1:
        return np.full(shape, gain)
    return gain / sqrt(prod(shape[1:])) * rng.standard_normal(shape)


def _dtype(name: str, shape: Shape) -> type[np.floating[Any]]:
    """What real F16 files hold; llama.cpp interpolates positions only in F32."""
    in_full = len(shape) == 1 or name == "v.position_embd.weight"
    return np.float32 if in_full else np.float16
