"""The items of an input: messages, calls of functions, and what these gave."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field

from edge.errors import UnsupportedParameter
from ui.openai.files import AnyDetail, File
from ui.openai.misplaced import refuse_video
from ui.openai.values import AS_LIST, AS_TEXT, Body, LongText, Name, Text, form

Id = Annotated[str, Field(max_length=200)]

# Left out of the prompt: there is no place for them in it.
SILENT = ("reasoning",)
KINDS = ("message", "function_call", "function_call_output", "item_reference", *SILENT)


class TextPart(Body):
    type: Literal["input_text", "output_text"]
    text: LongText
    logprobs: list[Any] = Field([], exclude=True)  # of an earlier answer

    def chat_part(self) -> dict[str, Any]:
        """The part of a chat message."""
        return {"type": "text", "text": self.text}


class RefusalPart(Body):
    type: Literal["refusal"]
    refusal: Text

    def chat_part(self) -> dict[str, Any]:
        """See `TextPart.chat_part`."""
        return {"type": "refusal", "refusal": self.refusal}


class ImagePart(Body):
    type: Literal["input_image"]
    image_url: str = ""
    file_id: Text = ""
    detail: AnyDetail = "auto"

    def chat_part(self) -> dict[str, Any]:
        """See `TextPart.chat_part`."""
        url = {"url": self.image_url, "detail": self.detail}
        return {"type": "image_url", "image_url": url}


class FilePart(File):
    type: Literal["input_file"]

    def chat_part(self) -> dict[str, Any]:
        """See `TextPart.chat_part`."""
        file = self.model_dump(exclude={"type"}, exclude_unset=True)
        return {"type": "file", "file": file}


def _as_part(value: Any) -> Any:
    """A part, also in the form of /v1/chat/completions."""
    match value:
        case str():
            return {"type": "input_text", "text": value}
        case {"type": "text", "text": text}:
            return {"type": "input_text", "text": text}
        case {"type": "image_url", "image_url": {"url": url, **rest}}:
            picture = {"image_url": url, "detail": rest.get("detail")}
            return {"type": "input_image"} | picture
        case {"type": "image_url", "image_url": str(url)}:
            return {"type": "input_image", "image_url": url}
        case {"type": "file", "file": {**file}}:
            return file | {"type": "input_file"}
        case {"type": "input_audio"}:
            raise UnsupportedParameter(
                "This server does not read input_audio. Send text, or pictures as "
                "input_image.",
                param="input",
            )
        case {"type": str() as kind}:
            refuse_video(kind, "input")
    return value


Part = Annotated[
    TextPart | RefusalPart | ImagePart | FilePart,
    Field(discriminator="type"),
    BeforeValidator(_as_part),
]
Content = Annotated[
    Annotated[LongText, AS_TEXT]
    | Annotated[list[Part], Field(max_length=1000, fail_fast=True), AS_LIST],
    Discriminator(form),
]


class MessageItem(Body):
    type: Literal["message"]
    role: Literal["user", "assistant", "system", "developer"]
    content: Content


class CallItem(Body):
    """A call in an earlier answer."""

    type: Literal["function_call"]
    call_id: Id
    name: Name
    arguments: Text = "{}"


class ResultItem(Body):
    """What a call gave."""

    type: Literal["function_call_output"]
    call_id: Id
    output: Content


class SilentItem(Body):
    type: Literal["reasoning"]


class ReferenceItem(Body):
    """An item of an earlier response, by its id."""

    type: Literal["item_reference"]
    id: Id


Item = Annotated[
    MessageItem | CallItem | ResultItem | ReferenceItem | SilentItem,
    Field(discriminator="type"),
]


def _with_types(value: Any) -> Any:
    """Items, of which a message needs no type. Raises UnsupportedParameter for those
    of tools that OpenAI runs."""
    if not isinstance(value, list):
        return value
    items = []
    for i, item in enumerate(value):
        kind = item.get("type") if isinstance(item, dict) else None
        if kind is None and isinstance(item, dict) and "role" in item:
            item = {"type": "message"} | item
        elif isinstance(kind, str) and kind not in KINDS:
            raise UnsupportedParameter(
                f"Items of type {kind[:80]!r} are not read here. Leave them out.",
                param=f"input[{i}].type",
            )
        items.append(item)
    return items


Items = Annotated[list[Item], Field(min_length=1, max_length=1000, fail_fast=True)]
Input = Annotated[
    Annotated[LongText, AS_TEXT] | Annotated[Items, AS_LIST],
    Discriminator(form),
    BeforeValidator(_with_types),
]


def items_of(given: str | list[Item]) -> list[Item]:
    """The items of an input; a text alone is a message of the user."""
    if isinstance(given, str):
        return [MessageItem(type="message", role="user", content=given)]
    return given
