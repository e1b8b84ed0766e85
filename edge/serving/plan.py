"""From settings, two model files and this machine to one Plan, which holds every
decision of a start.

`edge up`, the worker, `edge ask`, `edge doctor` and the benchmark act on a Plan and
decide nothing themselves. Nothing is loaded here, no inference library is imported.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

from edge import host
from edge.gguf.header import Header
from edge.models.pair import check_pair, image_token_range
from edge.models.registry import ModelFiles
from edge.serving.memory import MemoryNeed, check_memory, kv_type, memory_need
from edge.serving.tuning import Tuned, Tuning, apply_tuning
from edge.settings import Settings

log = logging.getLogger(__name__)

Vision = Literal["int8", "f32", "mtmd"]
VISION: Final[dict[str, Vision]] = {  # by EDGE_VISION
    "auto": "int8",
    "int8": "int8",
    "f32": "f32",
    "mtmd": "mtmd",
}
# Qwen3-VL's own image processor enlarges smaller pictures (65,536 pixels).
MIN_IMAGE_TOKENS: Final = 64


@dataclass(frozen=True)
class Plan:
    """How two model files are served on this machine.

    `settings` are the operator's, with values that were measured here over defaults.
    Where they say `auto` and OpenVINO cannot serve the files, `build_engine` falls back
    to llama.cpp.
    """

    files: ModelFiles
    settings: Settings
    runtime: str  # openvino or llama
    vision: Vision
    n_threads: int
    min_image_tokens: int
    max_image_tokens: int
    kv: str  # type of the numbers in a KV cell: f16 or q8_0
    n_kv_cells: int  # for all sequences together
    need: MemoryNeed
    tuning: Tuning | None
    tuning_note: str

    @property
    def forecast(self) -> str | None:
        """What pictures cost, if that was measured here."""
        return self.tuning.forecast(self.max_image_tokens) if self.tuning else None

    @property
    def runtime_note(self) -> str | None:
        """Why the slower runtime was chosen, if it was."""
        if not self._lacks_memory_for_openvino:
            return None
        return (
            "Too little memory is free for OpenVINO: llama.cpp computes the language "
            "model, which is slower."
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What to tell the operator, a sentence each."""
        notes = (self.tuning_note, self.forecast, self.runtime_note)
        return tuple(filter(None, notes))

    @property
    def child_settings(self) -> Settings:
        """Settings from which a worker process makes the same plan.

        The worker does not know `reserve_bytes`, so it is told to use llama.cpp when
        that left too little memory for OpenVINO. OpenVINO itself stays `auto`, because
        a runtime that is set by name does not fall back.
        """
        if self._lacks_memory_for_openvino:
            return replace(self.settings, runtime="llama")
        return self.settings

    @property
    def _lacks_memory_for_openvino(self) -> bool:
        return (self.settings.runtime, self.runtime) == ("auto", "llama")


def make_plan(
    settings: Settings,
    files: ModelFiles,
    *,
    reserve_bytes: int = 0,
    use_tuning: bool = True,
) -> Plan:
    """Decides how `files` are served, and leaves `reserve_bytes` of the free memory to
    other processes.

    Raises SetupError when a file is not a whole GGUF file, when the two do not belong
    together, or when they need more memory than is free.
    """
    model, mmproj = files.model_header, files.mmproj_header
    check_pair(model, mmproj)
    tuned = apply_tuning(settings, files) if use_tuning else Tuned(settings)
    settings = tuned.settings
    available_bytes = host.available_memory_bytes() - reserve_bytes
    runtime = resolve_runtime(settings, model, mmproj, available_bytes)
    resolved = replace(settings, runtime=runtime)
    need = memory_need(model, mmproj, resolved)
    log.info("memory for %s: %s", files.name, need)
    check_memory(need, available_bytes)
    trained = image_token_range(mmproj) or (MIN_IMAGE_TOKENS, settings.image_tokens)
    max_image_tokens = min(trained[1], settings.image_tokens)
    return Plan(
        files=files,
        settings=settings,
        runtime=runtime,
        vision=VISION[settings.vision],
        n_threads=settings.threads or host.usable_cores(),
        min_image_tokens=min(trained[0], max_image_tokens),
        max_image_tokens=max_image_tokens,
        kv=kv_type(resolved),
        n_kv_cells=settings.context_tokens,
        need=need,
        tuning=tuned.tuning,
        tuning_note=tuned.note,
    )


def resolve_runtime(
    settings: Settings, model: Header, mmproj: Header, available_bytes: int
) -> str:
    """EDGE_RUNTIME without `auto`, which means OpenVINO if its memory is free."""
    if settings.runtime != "auto":
        return settings.runtime
    need = memory_need(model, mmproj, replace(settings, runtime="openvino"))
    return "openvino" if need.total_bytes <= available_bytes else "llama"


def fits(plans: Iterable[Plan], available_bytes: int) -> bool:
    """Whether all of `plans` can be served at the same time, each by one worker."""
    need = sum((plan.need for plan in plans), MemoryNeed())
    return need.total_bytes <= available_bytes
