"""The two GGUF files of a Qwen3-VL: sizes, tensors and metadata, without the weights.

The names of the keys come from the GGUF specification through the `gguf` package.
Which of them are needed, and the names of the tensors, is defined by llama.cpp:
`src/models/qwen3vl.cpp`, `tools/mtmd/clip.cpp` and `tools/mtmd/clip-impl.h`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gguf import (
    GGML_QUANT_VERSION,
    GGUFType,
    GGUFWriter,
    LlamaFileType,
    VisionProjectorType,
)

from edge.gguf.vocabulary import CHAT_TEMPLATE, Vocabulary
from edge.unfinished import finish, unfinished

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Shapes:
    """Every size in the pair."""

    hidden: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    ffn: int
    rope_sections: Shape  # time, height, width, unused: the sum is half a head
    n_context: int

    vision_hidden: int
    vision_n_blocks: int
    vision_n_heads: int  # rope turns pairs of y and x: a head divides by 4
    vision_ffn: int
    image_size: int  # pixels a side; positions of other sizes are interpolated
    deepstack_blocks: Shape  # the n-th is added after text layer n

    # Image tokens of the pictures in training; 0 leaves the range to the engine.
    min_image_tokens: int = 0
    max_image_tokens: int = 0

    rope_base: float = 5e6
    rms_eps: float = 1e-6
    vision_eps: float = 1e-6
    patch: int = 16
    merge: int = 2

    @property
    def n_positions(self) -> int:
        return (self.image_size // self.patch) ** 2

    @property
    def image_token_pixels(self) -> int:
        return (self.patch * self.merge) ** 2


QWEN3_VL_2B: Final = Shapes(
    hidden=2048,
    n_layers=28,
    n_heads=16,
    n_kv_heads=8,
    head_dim=128,
    ffn=6144,
    rope_sections=(24, 20, 20, 0),
    n_context=262144,
    vision_hidden=1024,
    vision_n_blocks=24,
    vision_n_heads=16,
    vision_ffn=4096,
    image_size=768,
    deepstack_blocks=(5, 11, 17),
)

TINY: Final = Shapes(
    hidden=192,
    n_layers=5,
    n_heads=6,
    n_kv_heads=2,
    head_dim=32,
    ffn=512,
    rope_sections=(6, 5, 5, 0),
    n_context=32768,
    vision_hidden=192,
    vision_n_blocks=4,
    vision_n_heads=6,
    vision_ffn=576,
    image_size=256,
    deepstack_blocks=(0, 1, 2),
    min_image_tokens=64,
    max_image_tokens=96,
)


def text_file(
    s: Shapes, words: Vocabulary, name: str, description: str, kind: LlamaFileType
) -> GGUFWriter:
    """The language model's file with all metadata, still without tensors."""
    file = _new_file("qwen3vl", GGUFType.MODEL, name, description, kind)
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

    file.add_tokenizer_model("gpt2")
    file.add_tokenizer_pre("qwen2")
    file.add_token_list(words.tokens)
    file.add_token_types(words.types)
    file.add_token_merges([f"{left} {right}" for left, right in words.merges])
    file.add_bos_token_id(words.id_of("<|endoftext|>"))
    file.add_eos_token_id(words.id_of("<|im_end|>"))
    file.add_pad_token_id(words.id_of("<|endoftext|>"))
    file.add_add_bos_token(False)
    file.add_chat_template(CHAT_TEMPLATE)
    return file


def vision_file(
    s: Shapes, name: str, description: str, kind: LlamaFileType
) -> GGUFWriter:
    """The vision tower's file (mmproj) with all metadata, still without tensors."""
    file = _new_file("clip", GGUFType.MMPROJ, name, description, kind)
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
    if s.max_image_tokens:
        file.add_vision_min_pixels(s.min_image_tokens * s.image_token_pixels)
        file.add_vision_max_pixels(s.max_image_tokens * s.image_token_pixels)
    return file


def text_tensors(s: Shapes, n_tokens: int) -> dict[str, Shape]:
    """Names and shapes (rows first) of all tensors of the language model."""
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


def vision_tensors(s: Shapes) -> dict[str, Shape]:
    """Names and shapes (rows first) of all tensors of the vision tower."""
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


def must_be_float32(name: str, shape: Shape) -> bool:
    """True for vectors; llama.cpp interpolates positions only in float32."""
    return len(shape) == 1 or name == "v.position_embd.weight"


def write_files(folder: Path, files: dict[str, GGUFWriter]) -> None:
    """Writes both files of a pair or neither, even when this process is killed."""
    with unfinished(folder) as aside:
        for name, file in files.items():
            file.write_header_to_file(aside / name)
            file.write_kv_data_to_file()
            file.write_tensors_to_file()
            file.close()
        for name in files:
            finish(aside / name, folder / name)


def _new_file(
    architecture: str, type_: str, name: str, description: str, kind: LlamaFileType
) -> GGUFWriter:
    file = GGUFWriter(None, architecture)
    file.add_type(type_)
    file.add_name(name)
    file.add_description(description)
    file.add_file_type(kind)
    file.add_quantization_version(GGML_QUANT_VERSION)
    return file


def _numbered(
    prefix: str, numbers: Iterable[int], parts: dict[str, Shape]
) -> dict[str, Shape]:
    return {f"{prefix}.{n}.{part}": parts[part] for n in numbers for part in parts}
