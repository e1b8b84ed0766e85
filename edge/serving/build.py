"""From model files to an engine: which backend computes, and what happens where it
cannot be had."""

from __future__ import annotations

import logging
from typing import Any

from edge import host
from edge.engine.engine import Engine
from edge.engine.protocols import VisionTower
from edge.errors import SetupError
from edge.llamacpp.model import Model
from edge.llamacpp.runtime import LlamaRuntime
from edge.llamacpp.vision import MtmdTower
from edge.models.registry import ModelFiles, compiled_folder
from edge.openvino.runtime import OpenvinoRuntime
from edge.openvino.vision import OpenvinoTower
from edge.serving.check import check, settle
from edge.serving.tuning import tuned
from edge.settings import Settings

log = logging.getLogger(__name__)


def build_engine(settings: Settings, files: ModelFiles) -> Engine:
    """The real engine over `files`. Raises SetupError when it cannot be."""
    settings, _, said = tuned(settings, files)
    log.info(said)
    cells = check(files, settings)
    runtime = build_runtime(settings, files)
    tower = build_tower(settings, files, cells)
    keep_bytes = settings.embeddings_mb * 1_000_000
    return Engine(runtime, tower, settings.chunk_tokens, keep_bytes)


def build_runtime(
    settings: Settings, files: ModelFiles
) -> OpenvinoRuntime | LlamaRuntime:
    """The language model, computed by whom `settings` ask for.

    Raises SetupError when it cannot be, or there is not enough memory; `auto` falls
    back to llama.cpp.
    """
    sizes: dict[str, Any] = {
        "n_slots": settings.slots,
        "n_cells": settings.context_tokens,
        "n_idle": settings.kept,
        "threads": settings.threads or host.usable_cores(),
        "kv": settings.kv,
    }
    if settle(files, settings).runtime == "openvino":
        folder = compiled_folder(settings)
        try:
            return OpenvinoRuntime(files.model, folder, **sizes)
        except SetupError as error:
            if settings.runtime != "auto":
                raise
            log.warning("%s llama.cpp computes answers: slower.", error)
    return LlamaRuntime(
        Model(files.model, repack=settings.repack),
        max_batch=settings.chunk_tokens + settings.slots,
        **sizes,
    )


def build_tower(
    settings: Settings, files: ModelFiles, cells: tuple[int, int]
) -> VisionTower:
    """The vision tower that `settings` ask for, for pictures of so many `cells`.

    Raises SetupError when it cannot be; `auto` falls back to llama.cpp's own.
    """
    min_tokens, max_tokens = cells
    threads = settings.threads or host.usable_cores()
    if settings.vision != "mtmd":
        try:
            return OpenvinoTower(
                files.mmproj,
                compiled_folder(settings),
                precision="f32" if settings.vision == "f32" else "int8",
                threads=threads,
                min_tokens=min_tokens,
                max_tokens=max_tokens,
            )
        except SetupError as error:
            if settings.vision != "auto":
                raise
            log.warning("%s Pictures are read by llama.cpp: slower.", error)
    return MtmdTower(
        files.mmproj,
        Model(files.model),
        threads=threads,
        min_tokens=min_tokens,
        max_tokens=max_tokens,
    )
