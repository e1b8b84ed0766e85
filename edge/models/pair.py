"""Checks by the headers that two GGUF files are a language model and its vision file,
and that a runtime for them is installed.

The engine serves llama.cpp's `qwen3vl` and `qwen3vlmoe`, whose image tokens are squares
of 32 pixels; not Qwen2-VL and Qwen2.5-VL, whose squares have 28, nor Qwen3.5, which
keeps a state in addition to its KV cache. The rules are those that llama.cpp checks
(`tools/mtmd/mtmd.cpp`) after minutes of loading.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from edge.errors import SetupError
from edge.gguf.header import Header
from edge.images import TOKEN_PX

PROJECTORS: Final = {"qwen3vl": "qwen3vl_merger", "qwen3vlmoe": "qwen3vl_merger"}
LLAMA_ONLY: Final = "qwen3vlmoe"  # OpenVINO's graph has no experts
MARKS: Final = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>")

_BELONGS: Final = "use the mmproj file that was published with this model"


def check_pair(model: Header, mmproj: Header) -> None:
    """Raises SetupError that says why the engine cannot serve the two together."""
    _check_roles(model, mmproj)
    _check_model(model)
    _check_tower(model, mmproj)
    width = model.number(f"{model.architecture}.embedding_length")
    projected = mmproj.number("clip.vision.projection_dim")
    if projected != width:
        raise SetupError(
            f"{mmproj.path} makes embeddings of {projected} numbers and {model.path} "
            f"takes {width}: {_BELONGS}."
        )
    taken = deepstack_layers(model)
    made = sum(_is_deepstack(name) for name in mmproj.tensors)
    if made != taken:
        raise SetupError(
            f"{mmproj.path} has {made} deepstack layers and {model.path} takes "
            f"{taken}: {_BELONGS}."
        )


def deepstack_layers(model: Header) -> int:
    """The number of first text layers that add an embedding of their own."""
    key = f"{model.architecture}.n_deepstack_layers"
    return model.number(key) if model.get(key) else 0


def image_token_range(mmproj: Header) -> tuple[int, int] | None:
    """Fewest and most tokens of a picture that the vision file was trained with; None
    when it does not say so."""
    keys = ("clip.vision.image_min_pixels", "clip.vision.image_max_pixels")
    if not all(mmproj.get(key) for key in keys):
        return None
    fewest, most = (mmproj.number(key) // image_token_side(mmproj) ** 2 for key in keys)
    return fewest, most


def image_token_side(mmproj: Header) -> int:
    """Pixels on each side of the square that becomes one image token."""
    patch = mmproj.number("clip.vision.patch_size")
    return patch * mmproj.number("clip.vision.spatial_merge_size", 2)


def _check_roles(model: Header, mmproj: Header) -> None:
    roles = model.architecture == "clip", mmproj.architecture == "clip"
    if roles == (True, False):
        raise SetupError(
            f"The two files are the wrong way round: {model.path} is the vision file "
            f"(EDGE_MMPROJ) and {mmproj.path} the language model (EDGE_MODEL)."
        )
    if roles == (True, True):
        raise SetupError(
            f"{model.path} is a vision file (mmproj): EDGE_MODEL needs the language "
            "model that was published with it."
        )
    if roles == (False, False):
        raise SetupError(
            f"{mmproj.path} is a language model: EDGE_MMPROJ needs the vision file "
            "(mmproj) that was published with the model."
        )


def _check_model(model: Header) -> None:
    if model.architecture not in PROJECTORS:
        raise SetupError(
            f"{model.path} is a {model.architecture} model, and this engine serves "
            f"{' and '.join(PROJECTORS)}: use a Qwen3-VL file."
        )
    if model.architecture == LLAMA_ONLY and find_spec("llama_cpp") is None:
        raise SetupError(
            f"{model.path} is a {LLAMA_ONLY} model, which only llama.cpp computes, and "
            "llama.cpp is not installed here. Install it with `make setup`, or use "
            "another Qwen3-VL file."
        )
    if missing := [mark for mark in MARKS if mark not in model.marks]:
        raise SetupError(
            f"{model.path} has no token {missing[0]}, which questions are written "
            "with: use a Qwen3-VL Instruct file."
        )


def _check_tower(model: Header, mmproj: Header) -> None:
    if not mmproj.get("clip.has_vision_encoder"):
        raise SetupError(f"{mmproj.path} holds no vision encoder: {_BELONGS}.")
    # files with vision and audio have one projector for each
    projector = mmproj.get("clip.projector_type") or mmproj.get(
        "clip.vision.projector_type"
    )
    if projector != (fitting := PROJECTORS[model.architecture]):
        raise SetupError(
            f"{mmproj.path} is a {projector} and {model.path} takes a {fitting}: "
            f"{_BELONGS}."
        )
    if (side := image_token_side(mmproj)) != TOKEN_PX:
        raise SetupError(
            f"{mmproj.path} makes a token of {side}x{side} pixels and this engine of "
            f"{TOKEN_PX}x{TOKEN_PX}: use a Qwen3-VL file."
        )


def _is_deepstack(tensor: str) -> bool:
    return tensor.startswith("v.deepstack.") and tensor.endswith(".fc1.weight")
