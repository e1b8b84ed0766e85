"""From settings, two model files and this machine to one Plan, which holds every
decision of a start.

`edge up`, the worker, `edge ask`, `edge doctor` and the benchmark act on a Plan and
decide nothing themselves. Nothing is loaded here, no inference library is imported.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from edge import host
from edge.errors import SetupError
from edge.gguf.header import Header
from edge.images import AUTO_TOKENS
from edge.models.pair import LLAMA_ONLY, check_pair, image_token_range
from edge.models.registry import ModelFiles
from edge.serving.choice import Choice, Measured, choose_language, choose_vision
from edge.serving.forecast import forecast
from edge.serving.installed import check_installed, has_llama
from edge.serving.memory import WIDE, MemoryNeed, check_memory, memory_need
from edge.serving.tuning import Tuning, load
from edge.serving.variants import (
    Part,
    Variant,
    is_allowed,
    language_variants,
    vision_variants,
    with_given,
)
from edge.settings import Settings

log = logging.getLogger(__name__)

# Qwen3-VL's own image processor enlarges smaller pictures (65,536 pixels).
MIN_IMAGE_TOKENS: Final = 64


@dataclass(frozen=True)
class Plan:
    """How two model files are served on this machine.

    `settings` are the operator's. Where they say `auto` and OpenVINO cannot serve the
    files, `build_engine` falls back to llama.cpp.
    """

    files: ModelFiles
    settings: Settings
    choice: Choice
    min_image_tokens: int
    max_image_tokens: int
    n_kv_cells: int  # for all sequences together
    need: MemoryNeed
    forced: Mapping[str, Any]  # values of settings that the free memory decided
    tuning: Tuning | None
    tuning_note: str

    @property
    def language(self) -> Variant:
        return self.choice.language.variant

    @property
    def vision(self) -> Variant:
        return self.choice.vision.variant

    @property
    def stage_ms(self) -> dict[int, float]:
        """Milliseconds of one block of the vision encoder by image tokens of a picture;
        empty where nothing was measured."""
        n_blocks = self.files.mmproj_header.number("clip.vision.block_count")
        return {n_tokens: ms / n_blocks for n_tokens, ms in self.choice.vision.ms}

    @property
    def forecast(self) -> str | None:
        """What pictures cost, if that was measured here."""
        if not (self.choice.language.ms and self.choice.vision.ms):
            return None
        return forecast(self.choice, self.max_image_tokens)

    @property
    def runtime_note(self) -> str | None:
        """Why the slower runtime was chosen, if it was."""
        if self.language.kernels or not {"runtime", "weights"} & self.forced.keys():
            return None
        return (
            "Too little memory is free for OpenVINO: llama.cpp computes the language "
            "model, which is slower."
        )

    @property
    def picture_note(self) -> str | None:
        """How large pictures may be, if that is less than usual."""
        if "image_tokens" not in self.forced:
            return None
        return (
            f"Too little memory is free for pictures of {self.settings.image_tokens} "
            f"image tokens: `detail: high` gets {self.max_image_tokens} too."
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What to tell the operator, a sentence each."""
        notes = (
            self.tuning_note,
            self.forecast,
            self.picture_note,
            self.runtime_note,
        )
        return tuple(filter(None, notes))

    @property
    def child_settings(self) -> Settings:
        """Settings from which a worker process makes the same plan: it does not know
        `reserve_bytes`, so it is told what the memory that they left has decided."""
        return replace(self.settings, **self.forced)


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
    together, when they need more memory than is free, or when the settings name
    llama.cpp and it is not installed.
    """
    check_installed(settings)
    model, mmproj = files.model_header, files.mmproj_header
    check_pair(model, mmproj)
    settings = _for_experts(settings, model)
    tuning, note = load(settings, files) if use_tuning else (None, "")
    available_bytes = host.available_memory_bytes() - reserve_bytes
    choice, forced = _choose(settings, files, tuning, available_bytes)
    allowed = replace(settings, **forced)
    need = _need(allowed, files, choice)
    log.info("memory for %s: %s", files.name, need)
    least, most = _image_tokens(allowed, files)
    check_memory(need, available_bytes, settings.context_tokens, most)
    return Plan(
        files=files,
        settings=settings,
        choice=choice,
        min_image_tokens=least,
        max_image_tokens=most,
        n_kv_cells=settings.context_tokens,
        need=need,
        forced=forced,
        tuning=tuning,
        tuning_note=note,
    )


def least_need(settings: Settings, files: ModelFiles) -> MemoryNeed:
    """Of the choice that takes the least memory. Raises SetupError as `make_plan`."""
    check_installed(settings)
    check_pair(files.model_header, files.mmproj_header)
    settings = _for_experts(settings, files.model_header)
    choice, forced = _choose(settings, files, None, available_bytes=0)
    return _need(replace(settings, **forced), files, choice)


def _for_experts(settings: Settings, model: Header) -> Settings:
    """The runtime of a model that only llama.cpp computes. Raises SetupError where
    the settings name the other one."""
    if model.architecture != LLAMA_ONLY:
        return settings
    if settings.runtime == "openvino":
        raise SetupError(
            f"{model.path} is a {LLAMA_ONLY} model, which only llama.cpp computes: set "
            "EDGE_RUNTIME=llama, or leave it out."
        )
    return replace(settings, runtime="llama")


def _choose(
    settings: Settings, files: ModelFiles, tuning: Tuning | None, available_bytes: int
) -> tuple[Choice, dict[str, Any]]:
    """The fastest choice that fits into the memory, and the settings that had to change
    for that, the cheapest first."""
    forced: dict[str, Any] = {}
    while True:
        allowed = replace(settings, **forced)
        choice = _fastest(allowed, tuning)
        if _need(allowed, files, choice).total_bytes <= available_bytes:
            return choice, forced
        is_given = "image_tokens" in settings.given
        if not is_given and _image_tokens(allowed, files)[1] > AUTO_TOKENS:
            forced["image_tokens"] = AUTO_TOKENS
        elif choice.many:
            forced["graphs"] = 1
        elif _may_be_q8_0(settings, choice) and choice.language.variant.kernels:
            forced["kv"] = "q8_0"
        elif settings.vision == "auto" and choice.vision.variant.vision in WIDE:
            forced["vision"] = "int8"
        elif settings.weights == "auto" and _weights(choice) == "int8":
            forced["weights"] = "u4"
        elif _may_be_llama(settings, choice):
            forced["runtime"] = "llama"  # which is slower with a small cache
            for name in ("weights", "kv"):
                forced.pop(name, None)
        elif _may_be_q8_0(settings, choice):
            forced["kv"] = "q8_0"
        else:
            return choice, forced


def _image_tokens(settings: Settings, files: ModelFiles) -> tuple[int, int]:
    """The least and the most tokens of a picture: those that the encoder was trained
    with, as far as they are allowed."""
    most = settings.image_tokens
    trained = image_token_range(files.mmproj_header) or (MIN_IMAGE_TOKENS, most)
    return min(trained[0], most), min(trained[1], most)


def _may_be_q8_0(settings: Settings, choice: Choice) -> bool:
    return settings.kv == "auto" and choice.language.variant.kv == "f16"


def _may_be_llama(settings: Settings, choice: Choice) -> bool:
    is_openvino = choice.language.variant.kernels is not None
    return is_openvino and settings.runtime == "auto" and has_llama()


def _fastest(settings: Settings, tuning: Tuning | None) -> Choice:
    """The fastest choice that `settings` allow."""

    def may_be_two(few: Variant, many: Variant) -> bool:
        """They can share a cache only if its numbers have eight bits in both."""
        if settings.graphs == 1 or not (few.kernels and many.kernels):
            return False
        return few.threads == many.threads and few.kv == many.kv == "q8_0"

    few, many, rows = choose_language(
        _measured("language", settings, tuning), may_be_two
    )
    return Choice(few, choose_vision(_measured("vision", settings, tuning)), many, rows)


def _measured(part: Part, settings: Settings, tuning: Tuning | None) -> list[Measured]:
    """What was measured of this part and is allowed; the likely fastest variant where
    nothing was."""
    found = [
        replace(each, variant=with_given(each.variant, settings))
        for each in (tuning.measured if tuning else ())
        if each.ms and each.variant.part == part and is_allowed(each.variant, settings)
    ]
    if found:
        return found
    features = host.cpu().features
    if part == "vision":
        likely = _first_sound(vision_variants(settings, features), tuning)
    else:
        likely = _first_sound(language_variants(settings, features), tuning)
        likely = replace(likely, repack=settings.repack and not likely.kernels)
    return [Measured(likely)]


def _first_sound(variants: Iterator[Variant], tuning: Tuning | None) -> Variant:
    """The first of `variants` that has not failed here, or the first of all."""
    failed = [each.variant for each in (tuning.measured if tuning else ())]
    likely = list(variants)
    return next((each for each in likely if each not in failed), likely[0])


def _need(settings: Settings, files: ModelFiles, choice: Choice) -> MemoryNeed:
    """A second graph has packed weights of its own."""
    language = choice.language.variant
    need = memory_need(
        files.model_header,
        files.mmproj_header,
        replace(
            settings,
            runtime=language.runtime,
            vision=choice.vision.variant.vision,
            kv=language.kv,
        ),
        form=_weights(choice),
    )
    if not choice.many:
        return need
    text_bytes = need.weights_bytes - files.mmproj_header.tensor_bytes
    return need + MemoryNeed(weights_bytes=text_bytes)


def _weights(choice: Choice) -> str:
    """The form of the language model's weights; none with llama.cpp."""
    kernels = choice.language.variant.kernels
    return kernels.weights if kernels else ""
