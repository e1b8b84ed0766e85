"""A pair of complete GGUF files of a few kilobytes, whose weights are zero."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter, LlamaFileType

from edge.gguf import layout
from edge.gguf.layout import Shapes
from edge.gguf.vocabulary import learn

SMALL = Shapes(
    hidden=64,
    n_layers=3,
    n_heads=2,
    n_kv_heads=1,
    head_dim=32,
    ffn=96,
    rope_sections=(6, 5, 5, 0),
    n_context=1024,
    vision_hidden=16,
    vision_n_blocks=3,
    vision_n_heads=2,
    vision_ffn=32,
    image_size=64,
    deepstack_blocks=(0, 1),
)
WORDS = learn(["red", "circle"])
LABEL = "small", "All weights are zero.", LlamaFileType.ALL_F32


def write_text(folder: Path, shapes: Shapes = SMALL, **metadata: Any) -> Path:
    """The language model; `metadata` replaces values, with __ for a dot in the key."""
    file = layout.text_file(shapes, WORDS, *LABEL)
    tensors = layout.text_tensors(shapes, len(WORDS.tokens))
    return _write(folder / "model.gguf", file, tensors, metadata)


def write_vision(folder: Path, shapes: Shapes = SMALL, **metadata: Any) -> Path:
    """The vision file; `metadata` as for the language model, None takes one away."""
    file = layout.vision_file(shapes, *LABEL)
    tensors = layout.vision_tensors(shapes)
    return _write(folder / "mmproj.gguf", file, tensors, metadata)


def _write(
    path: Path,
    file: GGUFWriter,
    tensors: dict[str, tuple[int, ...]],
    metadata: dict[str, Any],
) -> Path:
    [values] = file.kv_data
    for name, value in metadata.items():
        key = name.replace("__", ".")
        if value is None:
            del values[key]
        else:
            values[key].value = value
    for name, shape in tensors.items():
        file.add_tensor(name, np.zeros(shape, np.float32))
    layout.write_files(path.parent, {path.name: file})
    return path
