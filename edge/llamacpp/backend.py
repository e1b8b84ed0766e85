"""What `edge/serving/build.py` loads by name, so that llama.cpp is imported only where
it serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge.llamacpp.model import Model
from edge.llamacpp.runtime import LlamaRuntime
from edge.llamacpp.vision import MtmdTower


def load_runtime(model: Path, *, repack: bool, **given: Any) -> LlamaRuntime:
    """The language model in a file, with what else is `given` to `LlamaRuntime`."""
    return LlamaRuntime(Model(model, repack=repack), **given)


def load_tower(mmproj: Path, model: Path, **sizes: Any) -> MtmdTower:
    """The vision encoder of a pair of files, with the `sizes` of `MtmdTower`."""
    return MtmdTower(mmproj, Model(model), **sizes)
