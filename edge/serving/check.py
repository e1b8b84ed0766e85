"""All that can be known about two model files before anything is loaded."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final

from edge import host
from edge.gguf.header import read_header
from edge.models.pair import check_pair, image_token_range
from edge.models.registry import ModelFiles
from edge.serving.memory import check_memory, memory_need
from edge.settings import Settings

log = logging.getLogger(__name__)

# Qwen3-VL's own image processor makes smaller pictures larger (65,536 pixels).
FEWEST_CELLS: Final = 64


def check(
    files: ModelFiles, settings: Settings, *, reserve_bytes: int = 0
) -> tuple[int, int]:
    """The fewest and the most tokens that a picture gets with these files.

    Raises SetupError when one of them is no whole GGUF file, when they do not belong
    together, and when they need more memory than is free beside `reserve_bytes`.
    """
    model, mmproj = read_header(files.model), read_header(files.mmproj)
    check_pair(model, mmproj)
    settings = settle(files, settings, reserve_bytes=reserve_bytes)
    need = memory_need(model, mmproj, settings)
    log.info("memory for %s: %s", files.name, need)
    check_memory(need, host.available_memory_bytes() - reserve_bytes)
    fewest, most = image_token_range(mmproj) or (FEWEST_CELLS, settings.image_tokens)
    most = min(most, settings.image_tokens)
    return min(fewest, most), most


def settle(
    files: ModelFiles, settings: Settings, *, reserve_bytes: int = 0
) -> Settings:
    """`settings` in which it is decided who computes the language model.

    Raises SetupError when one of the files is no whole GGUF file.
    """
    if settings.runtime != "auto":
        return settings
    with_openvino = replace(settings, runtime="openvino")
    need = memory_need(
        read_header(files.model), read_header(files.mmproj), with_openvino
    )
    is_free = need.total_bytes <= host.available_memory_bytes() - reserve_bytes
    return with_openvino if is_free else replace(settings, runtime="llama")
