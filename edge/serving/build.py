"""From a Plan to an engine. Where a setting says `auto` and OpenVINO cannot serve the
files, llama.cpp does if it is installed, and the log says so."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any, cast

from edge.engine.costs import Costs
from edge.engine.engine import Engine
from edge.engine.protocols import Runtime, VisionTower
from edge.errors import SetupError
from edge.models.registry import compiled_folder
from edge.openvino.runtime import OpenvinoRuntime
from edge.openvino.vision import OpenvinoTower
from edge.serving.installed import has_llama
from edge.serving.plan import Plan

log = logging.getLogger(__name__)

LLAMA = "edge.llamacpp.backend"  # imported where it serves, and not always installed


def build_engine(plan: Plan) -> Engine:
    """Loads both files. Raises SetupError when no backend can serve them."""
    for note in plan.notes:
        log.info(note)
    runtime = build_runtime(plan)
    tower = build_tower(plan)
    settings = plan.settings
    return Engine(
        runtime,
        tower,
        settings.chunk_tokens,
        settings.embeddings_mb * 1_000_000,
        Costs(plan.choice.step_ms, plan.stage_ms),
        str(plan.files.model_header.get("tokenizer.chat_template", "")),
    )


def build_runtime(plan: Plan) -> Runtime:
    """The language model, loaded. Raises SetupError when no backend can serve it."""
    files, settings, variant = plan.files, plan.settings, plan.language
    sizes: dict[str, Any] = {
        "n_slots": settings.slots,
        "n_cells": plan.n_kv_cells,
        "n_idle": settings.kept,
        "threads": variant.threads,
        "kv": variant.kv,
    }
    if variant.kernels:
        many = plan.choice.many
        try:
            return OpenvinoRuntime(
                files.model,
                compiled_folder(settings),
                kernels=variant.kernels,
                many=many.variant.kernels if many else None,
                many_rows=plan.choice.many_rows,
                header=files.model_header,
                **sizes,
            )
        except SetupError as error:
            if settings.runtime != "auto" or not has_llama():
                raise
            log.warning(
                "%s llama.cpp computes the language model, which is slower.", error
            )
    runtime = import_module(LLAMA).load_runtime(
        files.model,
        repack=variant.repack,
        max_batch=settings.chunk_tokens,
        header=files.model_header,
        **sizes,
    )
    return cast(Runtime, runtime)


def build_tower(plan: Plan) -> VisionTower:
    """The vision tower, loaded. Raises SetupError when no backend can serve it."""
    files, settings, variant = plan.files, plan.settings, plan.vision
    sizes = {
        "threads": variant.threads,
        "min_tokens": plan.min_image_tokens,
        "max_tokens": plan.max_image_tokens,
    }
    if variant.kernels:
        try:
            return OpenvinoTower(
                files.mmproj,
                compiled_folder(settings),
                kernels=variant.kernels,
                header=files.mmproj_header,
                **sizes,
            )
        except SetupError as error:
            if settings.vision != "auto" or not has_llama():
                raise
            log.warning("%s llama.cpp reads pictures, which is slower.", error)
    tower = import_module(LLAMA).load_tower(files.mmproj, files.model, **sizes)
    return cast(VisionTower, tower)
