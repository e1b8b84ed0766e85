"""The messages of a body, and the parts of their contents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field

from ui.openai.files import AnyDetail, FilePart
from ui.openai.tools import ToolCall
from ui.openai.values import (
    AS_LIST,
    AS_TEXT,
    N_PARTS,
    Body,
    LongText,
    Text,
    as_url,
    form,
)
from ui.openai.videos import FramesPart, VideoUrlPart


def _as_part(value: Any) -> Any:
    """A text among the parts is a part too; the Responses API has its own names."""
    match value:
        case str():
            return {"type": "text", "text": value}
        case {"type": "input_text", "text": text}:
            return {"type": "text", "text": text}
        case {"type": "input_image", "image_url": str(url), **rest}:
            picture = {"url": url, "detail": rest.get("detail")}
            return {"type": "image_url", "image_url": picture}
        case {"type": "input_file", **file}:
            return {"type": "file", "file": file}
        case {"type": "video", "video": str() | dict() as video, **rest}:
            return {"type": "video_url", "video_url": video} | rest
    return value


class ImageUrl(Body):
    url: str
    detail: AnyDetail = "auto"


class TextPart(Body):
    type: Literal["text"]
    text: LongText


class ImagePart(Body):
    type: Literal["image_url"]
    image_url: Annotated[
        ImageUrl, BeforeValidator(as_url, json_schema_input_type=ImageUrl | str)
    ]


class RefusalPart(Body):
    type: Literal["refusal"]
    refusal: Text


AnyPart = TextPart | ImagePart | FilePart | VideoUrlPart | FramesPart
Part = Annotated[
    AnyPart,
    Field(discriminator="type"),
    BeforeValidator(_as_part, json_schema_input_type=AnyPart | str),
]
TextOnly = Annotated[
    TextPart, BeforeValidator(_as_part, json_schema_input_type=TextPart | str)
]
Said = Annotated[
    TextPart | RefusalPart,
    Field(discriminator="type"),
    BeforeValidator(_as_part, json_schema_input_type=TextPart | RefusalPart | str),
]

Texts = Annotated[
    Annotated[Text, AS_TEXT] | Annotated[list[TextOnly], N_PARTS, AS_LIST],
    Discriminator(form),
]
Parts = Annotated[
    Annotated[LongText, AS_TEXT] | Annotated[list[Part], N_PARTS, AS_LIST],
    Discriminator(form),
]
Saying = Annotated[
    Annotated[Text, AS_TEXT]
    | Annotated[list[Said], Field(max_length=1000, fail_fast=True), AS_LIST],
    Discriminator(form),
]


class SystemMessage(Body):
    role: Literal["system", "developer"]
    content: Texts


class UserMessage(Body):
    role: Literal["user"]
    content: Parts


class AssistantMessage(Body):
    """An earlier answer: text, a refusal, calls, or what another server left of it."""

    role: Literal["assistant"]
    content: Saying = ""
    refusal: Text = ""
    reasoning_content: Text = ""  # of an earlier answer: a prompt never has it
    tool_calls: list[ToolCall] = Field([], max_length=128, fail_fast=True)


class ToolMessage(Body):
    """What a call gave, of texts and pictures."""

    role: Literal["tool"]
    content: Parts
    tool_call_id: Annotated[str, Field(max_length=200)] = ""


ChatMessage = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage,
    Field(discriminator="role"),
]


def parts_of(message: ChatMessage) -> Iterator[AnyPart]:
    """The parts of a message; a plain string is one text part, and so is a refusal."""
    if isinstance(message.content, str):
        yield TextPart(type="text", text=message.content)
    else:
        for part in message.content:
            if isinstance(part, RefusalPart):
                yield TextPart(type="text", text=part.refusal)
            else:
                yield part
    if isinstance(message, AssistantMessage) and message.refusal:
        yield TextPart(type="text", text=message.refusal)
