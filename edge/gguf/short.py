"""A pair of GGUF files with a few layers of another pair, to measure kernels with.

All layers of a model cost the same, so a short model takes a known fraction of the
whole one's time, with the same shapes and types, and is compiled in a second.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from math import prod
from pathlib import Path
from typing import Final

import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFWriter, LlamaFileType
from gguf.quants import quant_shape_to_byte_shape as in_bytes

from edge.gguf import layout
from edge.gguf.header import Header
from edge.gguf.layout import Shapes
from edge.gguf.synthetic import SPECIAL, synthetic_vocabulary
from edge.gguf.vocabulary import LETTERS

# With fewer, what a step costs beside its layers weighs too much.
TEXT_LAYERS: Final = 4
VISION_BLOCKS: Final = 2
NAME: Final = "short"
FEWEST_TOKENS: Final = len(LETTERS) + len(SPECIAL) + 1
PATCHES: Final = 4  # that become one image token


def write_short(model: Header, mmproj: Header, folder: Path) -> tuple[Path, Path]:
    """Writes the pair into `folder`: TEXT_LAYERS layers of the language model with the
    same share of its vocabulary, and VISION_BLOCKS blocks of the vision encoder.

    Raises SetupError when a header lacks a size, OSError when the disk is full.
    """
    n_rows = int(model.tensors["token_embd.weight"].shape[-1])
    n_tokens = min(n_rows, max(int(n_rows / text_ratio(model)), FEWEST_TOKENS))
    shapes = _shapes(model, mmproj)
    label = NAME, "", LlamaFileType.GUESSED
    text, vision = folder / f"{NAME}.gguf", folder / f"mmproj-{NAME}.gguf"
    with (
        closing(
            layout.text_file(shapes, synthetic_vocabulary(n_tokens), *label)
        ) as one,
        closing(layout.vision_file(shapes, *label)) as two,
    ):
        for name, source in _text_names(model):
            _copy(one, model, name, source, n_tokens)
        for name, source in _vision_names(mmproj):
            _copy(two, mmproj, name, source)
        layout.write_files(folder, {text.name: one, vision.name: two})
    return text, vision


def text_ratio(model: Header) -> float:
    """How many times the work of the short language model the whole one has."""
    return max(1.0, _n_layers(model) / TEXT_LAYERS)


def vision_ratio(mmproj: Header, short: Header, n_tokens: int) -> float:
    """How many times the work of the vision encoder `short` the whole one has, for a
    picture of `n_tokens` image tokens."""
    return _vision_work(mmproj, n_tokens) / _vision_work(short, n_tokens)


def _vision_work(mmproj: Header, n_tokens: int) -> float:
    """Multiplications: of blocks for each patch, of the heads for each image token, and
    of attention for each two patches."""
    n_patches = PATCHES * n_tokens
    work = 0.0
    for name, tensor in mmproj.tensors.items():
        if len(tensor.shape) == 2 and name.endswith(".weight"):
            is_block = name.startswith("v.blk.")
            work += prod(tensor.shape) * (n_patches if is_block else n_tokens)
    hidden = mmproj.number("clip.vision.embedding_length")
    n_blocks = mmproj.number("clip.vision.block_count")
    return work + 2 * n_blocks * hidden * n_patches**2


def _n_layers(model: Header) -> int:
    return model.number(f"{model.architecture}.block_count")


def _picked(n: int, n_picked: int) -> Iterable[tuple[int, int]]:
    """Numbers of the short model's layers, and of their sources among `n`: at equal
    distances, because some types of files give more bits to some layers."""
    n_picked = min(n, n_picked)
    return ((each, each * n // n_picked) for each in range(n_picked))


def _text_names(model: Header) -> Iterable[tuple[str, str]]:
    """Names of the tensors of the short language model, and of their sources."""
    picked = {
        f"blk.{source}": f"blk.{n}"
        for n, source in _picked(_n_layers(model), TEXT_LAYERS)
    }
    for source in model.tensors:
        layer, _, rest = source.removeprefix("blk.").partition(".")
        if not source.startswith("blk."):
            yield source, source
        elif into := picked.get(f"blk.{layer}"):
            yield f"{into}.{rest}", source


def _vision_names(mmproj: Header) -> Iterable[tuple[str, str]]:
    """The same of the vision encoder, which keeps the first of its deepstack heads."""
    n_blocks = mmproj.number("clip.vision.block_count")
    picked = {
        f"v.blk.{source}": f"v.blk.{n}"
        for n, source in _picked(n_blocks, VISION_BLOCKS)
    }
    picked |= {f"v.deepstack.{n}": "v.deepstack.0" for n in _levels(mmproj)[:1]}
    for source in mmproj.tensors:
        if not source.startswith(("v.blk.", "v.deepstack.")):
            yield source, source
            continue
        part = ".".join(source.split(".")[:3])
        if part in picked:
            yield picked[part] + source.removeprefix(part), source


def _levels(mmproj: Header) -> list[int]:
    """Numbers of the blocks that have a deepstack head."""
    heads = {name for name in mmproj.tensors if name.startswith("v.deepstack.")}
    return sorted({int(name.split(".")[2]) for name in heads})


def _copy(
    file: GGUFWriter, header: Header, name: str, source: str, n_tokens: int = 0
) -> None:
    """Adds a tensor to `file`; of a matrix of the vocabulary its first rows."""
    tensor = header.tensors[source]
    shape = tuple(int(n) for n in reversed(tensor.shape))
    if source in ("token_embd.weight", "output.weight"):
        shape = (n_tokens, *shape[1:])
    in_file = in_bytes(shape, kind := Kind(tensor.kind))
    found = np.memmap(header.path, np.uint8, "r", tensor.start, (prod(in_file),))
    file.add_tensor(name, found.reshape(in_file), raw_dtype=kind)


def _shapes(model: Header, mmproj: Header) -> Shapes:
    def text(name: str) -> int:
        return model.number(f"{model.architecture}.{name}")

    def vision(name: str) -> int:
        return mmproj.number(f"clip.vision.{name}")

    arch = model.architecture
    sections = model.get(f"{arch}.rope.dimension_sections")
    return Shapes(
        hidden=text("embedding_length"),
        n_layers=min(TEXT_LAYERS, _n_layers(model)),
        n_heads=text("attention.head_count"),
        n_kv_heads=text("attention.head_count_kv"),
        head_dim=text("attention.key_length"),
        ffn=text("feed_forward_length"),
        rope_sections=tuple(sections or ()),
        n_context=text("context_length"),
        vision_hidden=vision("embedding_length"),
        vision_n_blocks=min(VISION_BLOCKS, vision("block_count")),
        vision_n_heads=vision("attention.head_count"),
        vision_ffn=vision("feed_forward_length"),
        image_size=vision("image_size"),
        deepstack_blocks=(0,) if _levels(mmproj) else (),
        patch=vision("patch_size"),
    )
