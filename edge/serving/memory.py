"""How much memory a pair of model files takes, computed from their headers.

The sum is weights + cache + compute + vision, everywhere in this order. The sizes
follow llama.cpp's graphs (`src/models/qwen3vl.cpp`, `tools/mtmd/models/qwen3vl.cpp`,
both with flash attention) and were measured with files of Qwen3-VL-2B's shapes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import prod
from typing import Final

from gguf import GGMLQuantizationType as Kind

from edge.engine.step import MOST_GUESSED, MOST_TOKENS
from edge.errors import SetupError
from edge.gguf.header import Header
from edge.models.pair import deepstack_layers, image_token_range, image_token_side
from edge.settings import Settings

F16, F32 = 2, 4  # bytes
KV_BYTES: Final = {"f16": 2.0, "q8_0": 34 / 32}  # of one number, by EDGE_KV
SPARE_KV_CELLS: Final = 64  # of each sequence in OpenVINO's cache
# Of a weight that stays in four bits, with its part of scales and zero points, which
# OpenVINO holds twice. Measured with Qwen3-VL-2B's shapes.
U4_BYTES: Final = 0.94
GIB: Final = 1 << 30
WIDE: Final = ("f16", "f32")  # forms of the tower's weights with more bits than int8
# One token or merge in the tokenizer's tables, and once more in llama.cpp's own.
VOCABULARY_ENTRY_BYTES: Final = 200
LLAMA_ENTRY_BYTES: Final = 160
# One token in llguidance's tables. Measured with Qwen's 151,936 tokens: 50 MiB when a
# worker starts, 67 MiB from the first schema on.
GRAMMAR_ENTRY_BYTES: Final = 460
# What OpenVINO takes beyond llama.cpp's tower, measured at 64 to 1024 image tokens.
OPENVINO_FACTOR: Final = 1.75
OPENVINO_BYTES: Final = 50 << 20
PIXEL_BYTES: Final = 3 * (3 + 2 * F32)  # three copies as bytes, two as float32


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes that a worker needs in addition to Python itself, by purpose.

    Not counted: the process that tries schemas out, 77 MiB while it lives.
    """

    weights_bytes: int = 0  # of the language model and the vision tower
    kv_bytes: int = 0  # grows with EDGE_CONTEXT_TOKENS
    compute_bytes: int = 0  # buffers of the language model, and its vocabulary
    tower_bytes: int = 0  # encoding a picture; grows with EDGE_IMAGE_TOKENS
    fixed_vision_bytes: int = 0  # cached embeddings, those of videos, OpenVINO itself

    @property
    def vision_bytes(self) -> int:
        return self.tower_bytes + self.fixed_vision_bytes

    @property
    def total_bytes(self) -> int:
        text_bytes = self.weights_bytes + self.kv_bytes + self.compute_bytes
        return text_bytes + self.vision_bytes

    def __add__(self, other: MemoryNeed) -> MemoryNeed:
        """What two workers need together. Nothing counts as shared, since each is a
        process: an upper bound, because llama.cpp maps equal files only once."""
        sums = (getattr(self, f.name) + getattr(other, f.name) for f in fields(self))
        return MemoryNeed(*sums)

    def __str__(self) -> str:
        return (
            f"weights {_gib(self.weights_bytes)} + cache {_gib(self.kv_bytes)} + "
            f"compute {_gib(self.compute_bytes)} + vision {_gib(self.vision_bytes)} = "
            f"{_gib(self.total_bytes)} GiB"
        )


def memory_need(
    model: Header, mmproj: Header, settings: Settings, form: str = "int8"
) -> MemoryNeed:
    """The most that the pair needs, when every slot answers about a largest picture.

    `settings.runtime` is resolved; the tower is OpenVINO's unless `settings.vision` is
    mtmd. `form` is that of OpenVINO's weights of the language model, int8 or u4.
    Weights count once: with EDGE_REPACK llama.cpp copies many of them into another
    order (650 MiB of Qwen3-VL-2B in Q4_K_M); the originals stay mapped and look
    resident, but the kernel drops them when memory is short.
    """
    return MemoryNeed(
        weights_bytes=_text_bytes(model, settings.runtime, form) + mmproj.tensor_bytes,
        kv_bytes=_n_kv_cells(settings) * _kv_cell_bytes(model, kv_type(settings)),
        compute_bytes=_compute_bytes(model, settings),
        tower_bytes=_tower_bytes(model, mmproj, settings),
        fixed_vision_bytes=settings.embeddings_mb * 1_000_000
        + _video_bytes(model, mmproj, settings)
        + _openvino_bytes(mmproj, settings.vision),
    )


def kv_type(settings: Settings) -> str:
    """EDGE_KV without `auto`; `settings.runtime` is resolved. OpenVINO is as fast with
    eight bits, and of 780 answers of `tiny` one differs; llama.cpp is slower."""
    if settings.kv != "auto":
        return settings.kv
    return "q8_0" if settings.runtime == "openvino" else "f16"


def check_memory(
    need: MemoryNeed, available_bytes: int, context_tokens: int, image_tokens: int
) -> None:
    """Raises SetupError, with the sum and the settings that reduce it, when `need`,
    with a cache of `context_tokens` and pictures of `image_tokens` at most, exceeds
    `available_bytes`."""
    if need.total_bytes <= available_bytes:
        return
    savings = {
        f"EDGE_CONTEXT_TOKENS={context_tokens // 2}": need.kv_bytes // 2,
        f"EDGE_IMAGE_TOKENS={image_tokens // 2}": need.tower_bytes // 2,
    }
    advice = (f"{what} saves {_gib(n)} GiB" for what, n in savings.items() if n)
    raise SetupError(
        f"The model needs more memory ({need}) than the "
        f"{_gib(max(0, available_bytes))} GiB that are free for it: "
        f"{', '.join(advice)}, and a smaller model the most."
    )


def _text_bytes(model: Header, runtime: str, form: str) -> int:
    """Weights of the language model: as in its file, or OpenVINO's copy of all matrices
    that it multiplies with, one byte a weight, or less where they stay in four bits."""
    if runtime != "openvino":
        return model.tensor_bytes
    head = "output.weight" if "output.weight" in model.tensors else "token_embd.weight"
    n_weights = _n_weights(model, "blk.") + _n_weights(model, head)
    if form != "u4":
        return n_weights
    n_u4 = sum(prod(t.shape) for t in model.tensors.values() if t.kind == Kind.Q4_K)
    return int(n_weights - n_u4 * (1 - U4_BYTES))


def _n_kv_cells(settings: Settings) -> int:
    """OpenVINO's cache is made of blocks (`edge/openvino/blocks.py`), of which each
    sequence leaves some cells empty."""
    spare = SPARE_KV_CELLS * (settings.slots + settings.kept)
    return settings.context_tokens + (spare if settings.runtime == "openvino" else 0)


def _openvino_bytes(mmproj: Header, vision: str) -> int:
    """OpenVINO itself, and its copies of the tower's weights: none in int8. To compile
    weights in f16 or f32 takes two in float32, which it frees or drops later."""
    if vision == "mtmd":
        return 0
    copies = 2 * F32 * _n_weights(mmproj) if vision in WIDE else 0
    return OPENVINO_BYTES + copies


def _n_weights(header: Header, prefix: str = "") -> int:
    return sum(
        prod(tensor.shape)
        for name, tensor in header.tensors.items()
        if name.startswith(prefix)
    )


def _kv_cell_bytes(model: Header, kv: str) -> int:
    """Keys and values of one token in all layers: 112 KiB in f16 for Qwen3-VL-2B."""
    arch = model.architecture
    n_heads = model.number(f"{arch}.attention.head_count")
    n_kv_heads = model.number(f"{arch}.attention.head_count_kv", n_heads)
    head = model.number(f"{arch}.embedding_length") // n_heads
    key = model.number(f"{arch}.attention.key_length", head)
    value = model.number(f"{arch}.attention.value_length", head)
    numbers = model.number(f"{arch}.block_count") * n_kv_heads * (key + value)
    return int(numbers * KV_BYTES[kv])


def _width(model: Header) -> int:
    """Numbers in one embedding: the main one and one for each deepstack layer."""
    levels = 1 + deepstack_layers(model)
    return levels * model.number(f"{model.architecture}.embedding_length")


def _compute_bytes(model: Header, settings: Settings) -> int:
    """For one batch: embeddings, activations, mask, logits and a copy of them. And the
    vocabulary, of the tokenizer, of llama.cpp and of llguidance."""
    hidden = model.number(f"{model.architecture}.embedding_length")
    ffn = model.number(f"{model.architecture}.feed_forward_length", 4 * hidden)
    n_tokens = model.lengths.get("tokenizer.ggml.tokens", 0)
    n_merges = model.lengths.get("tokenizer.ggml.merges", 0)
    token = 2 * (_width(model) + ffn) * F32 + settings.context_tokens * F16
    most_wanted = settings.slots * (MOST_GUESSED + 1)
    logits = 2 * max(settings.slots + settings.kept, most_wanted) * n_tokens * F32
    entry = VOCABULARY_ENTRY_BYTES
    if settings.runtime != "openvino":
        entry += LLAMA_ENTRY_BYTES
    vocabulary = (n_tokens + n_merges) * entry
    vocabulary += n_tokens * GRAMMAR_ENTRY_BYTES
    n_rows = settings.chunk_tokens + settings.slots * MOST_TOKENS
    return n_rows * token + logits + vocabulary


def _tower_bytes(model: Header, mmproj: Header, settings: Settings) -> int:
    """For one picture at a time: pixels, activations of the tower and copies of its
    matrix products; and the embeddings of one picture for each slot, and of the next.

    The tower's peak is the outputs of the deepstack blocks, kept until the end of the
    graph, and the widest of feed-forward, attention and merger. With flash attention
    nothing grows with the square of the picture.
    """
    hidden = mmproj.number("clip.vision.embedding_length")
    ffn = mmproj.number("clip.vision.feed_forward_length")
    patch = mmproj.number("clip.vision.patch_size")
    patches_per_token = (image_token_side(mmproj) // patch) ** 2
    output = 2 * _width(model) // patches_per_token  # each level, and all concatenated
    numbers = 3 * patch**2 + deepstack_layers(model) * hidden
    numbers += max(2 * hidden + ffn, 5 * hidden, output)
    tower = patches_per_token * (numbers * F32 + ffn * F16)
    if settings.vision != "mtmd":
        tower = int(tower * OPENVINO_FACTOR)
    pixels = image_token_side(mmproj) ** 2 * PIXEL_BYTES
    embeddings = (settings.slots + 1) * _width(model) * F16
    return _image_tokens(mmproj, settings) * (tower + pixels + embeddings)


def _video_bytes(model: Header, mmproj: Header, settings: Settings) -> int:
    """How much more the embeddings of a video for each slot, as far as they fit into
    the cache, and of the next take than those of pictures."""
    video = min(settings.video_tokens, settings.context_tokens)
    held = min(settings.slots * video, settings.context_tokens) + video
    pictures = (settings.slots + 1) * _image_tokens(mmproj, settings)
    return max(0, held - pictures) * _width(model) * F16


def _image_tokens(mmproj: Header, settings: Settings) -> int:
    """Of the largest picture."""
    _, most = image_token_range(mmproj) or (0, settings.image_tokens)
    return min(most, settings.image_tokens)


def _gib(n_bytes: int) -> str:
    return f"{n_bytes / GIB:.1f}"
