"""Fields with which other servers are asked for another answer, and the field here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from edge.errors import UnsupportedParameter

_PICTURES = (
    'Put pictures into a message\'s content: {"type": "image_url", "image_url": '
    '{"url": "data:image/png;base64,..."}}.'
)
_OF_VIDEO = "Send fps and detail in the part that holds the video."
_LEAVE_OUT = "Leave it out."
_FORMAT = "Use response_format or structured_outputs."
_MAX_TOKENS = "Use max_tokens."

# Of the body.
FIELDS = {
    "audio": _LEAVE_OUT,
    "best_of": _LEAVE_OUT,
    "use_beam_search": _LEAVE_OUT,
    "function_call": "Use tool_choice.",
    "functions": "Use tools.",
    "prompt_logprobs": _LEAVE_OUT,
    "n_probs": "Use logprobs and top_logprobs.",
    "modalities": _LEAVE_OUT,
    "web_search_options": _LEAVE_OUT,
    "format": _FORMAT,
    "json_schema": _FORMAT,
    "allowed_token_ids": "Use structured_outputs or logit_bias.",
    "echo": _LEAVE_OUT,
    "include_stop_str_in_output": _LEAVE_OUT,
    "truncate_prompt_tokens": 'Use truncate: "auto".',
    "bad_words": "Use logit_bias.",
    "mm_processor_kwargs": _OF_VIDEO,
    "media_io_kwargs": _OF_VIDEO,
    "max_new_tokens": _MAX_TOKENS,
    "max_length": _MAX_TOKENS,
    "n_predict": _MAX_TOKENS,
    "num_predict": _MAX_TOKENS,
    "stopping_strings": "Use stop.",
    "mirostat": _LEAVE_OUT,
    "typical_p": _LEAVE_OUT,
    "dry_multiplier": _LEAVE_OUT,
    "xtc_probability": _LEAVE_OUT,
    "chat_template": _LEAVE_OUT,
    "options": "Send its fields beside messages, with OpenAI's names.",
}
# Of a part that holds a video.
VIDEO = dict.fromkeys(
    (
        "nframes",
        "min_frames",
        "max_frames",
        "min_pixels",
        "max_pixels",
        "total_pixels",
        "resized_height",
        "resized_width",
    ),
    "Use fps and detail.",
) | dict.fromkeys(("video_start", "video_end"), "Cut the video.")
# Of the body of another API, which has no messages.
OTHERS = ("prompt", "input", "text", "contents", "query", "image_base64")
# Of the body, of a message, and of a part of its content.
PICTURES = (
    "images",
    "image",
    "image_base64",
    "image_data",
    "input_image",
    "image_url",
    "video",
    "videos",
    "video_url",
    "attachments",
    "files",
)
# Values that change nothing; some clients send them always.
HARMLESS: Mapping[str, tuple[Any, ...]] = {
    "add_generation_prompt": (True,),
    "best_of": (1,),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "n": (1,),
    "tfs_z": (1,),
    "tool_choice": ("none",),
    "typical_p": (1,),
    "xtc_probability": (0,),
}


def refuse(
    body: BaseModel, refused: Mapping[str, str] = FIELDS, pictures: str = _PICTURES
) -> None:
    """Raises UnsupportedParameter for the first field of `body`, which has messages, on
    which the client relies and which this server would ignore: one of those `refused`,
    or a picture where none is looked at. `pictures` says where they belong."""
    refuse_fields(body.model_extra or {}, refused)
    for place, fields, is_video in _places(body):
        refuse_fields(fields, VIDEO if is_video else {}, place)
        for name in PICTURES:
            if fields.get(name):
                param = f"{place}.{name}" if place else name
                raise UnsupportedParameter(
                    f"{param} would not be looked at. {pictures}", param=param
                )


def refuse_fields(fields: Any, refused: Mapping[str, str], place: str = "") -> None:
    """Raises UnsupportedParameter for the first of `fields`, those of an object at this
    place of the body, that is among the `refused`. Anything but an object has none."""
    for name, value in fields.items() if isinstance(fields, dict) else ():
        if name in refused and value and value not in HARMLESS.get(name, ()):
            param = f"{place}.{name}" if place else name
            raise UnsupportedParameter(
                f"{param} is not supported here. {refused[name]}", param=param
            )


def refuse_video(kind: str, param: str) -> None:
    """Raises UnsupportedParameter for a part of this kind, if it is a video, in an API
    that has none."""
    if kind in ("video", "video_url", "input_video"):
        raise UnsupportedParameter(
            f"{kind} is not read here. Ask /v1/chat/completions, which reads videos, "
            "or send pictures of it.",
            param=param,
        )


def refuse_other_api(body: Any) -> None:
    """Raises UnsupportedParameter for a body without messages that says its question
    elsewhere."""
    if not isinstance(body, dict) or "messages" in body:
        return
    for name in OTHERS:
        if name in body:
            raise UnsupportedParameter(
                f"{name} is not read here. Send messages: "
                '[{"role": "user", "content": ...}].',
                param=name,
            )


def _places(body: BaseModel) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """The unknown fields of the body, its messages, and the parts of these, and whether
    they are those of a video."""
    yield "", body.model_extra or {}, False
    for i, message in enumerate(getattr(body, "messages", ())):
        yield f"messages[{i}]", message.model_extra or {}, False
        if isinstance(message.content, list):
            for j, part in enumerate(message.content):
                yield from _of_part(part, f"messages[{i}].content[{j}]")


def _of_part(
    part: BaseModel, place: str
) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    is_video = getattr(part, "type", "") in ("video", "video_url")
    yield place, part.model_extra or {}, is_video
    if isinstance(file := getattr(part, "video_url", None), BaseModel):
        yield f"{place}.video_url", file.model_extra or {}, True
