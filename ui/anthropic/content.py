"""The messages of a body: blocks of text, pictures, calls and what these gave."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field

from ui.openai.misplaced import refuse_video
from ui.openai.values import AS_LIST, AS_TEXT, N_PARTS, Body, LongText, Name, Text, form
from ui.question import TextLayer

Id = Annotated[str, Field(max_length=200)]
NO_BLOCKS = Field(max_length=1000, fail_fast=True)


class TextBlock(Body):
    type: Literal["text"]
    text: LongText


class Base64Source(Body):
    type: Literal["base64"]
    media_type: Annotated[str, Field(pattern="^[a-z]+/[a-z0-9.+-]{1,60}$")] = (
        "image/png"
    )
    data: LongText

    @property
    def address(self) -> str:
        return f"data:{self.media_type};base64,{self.data}"


class UrlSource(Body):
    type: Literal["url"]
    url: LongText

    @property
    def address(self) -> str:
        return self.url


class Citations(Body):
    enabled: Literal[False] = False


class ImageBlock(Body):
    type: Literal["image"]
    source: Annotated[Base64Source | UrlSource, Field(discriminator="type")]


class DocumentBlock(Body):
    """A PDF; `pages` and `text_layer` are not Anthropic's."""

    type: Literal["document"]
    source: Base64Source
    title: Annotated[str, Field(max_length=200)] = ""
    pages: Annotated[str, Field(max_length=200)] = ""
    text_layer: TextLayer = "auto"
    citations: Citations = Citations()

    def chat_part(self) -> dict[str, Any]:
        """The part of a chat message."""
        file = {
            "file_data": self.source.address,
            "filename": self.title,
            "pages": self.pages,
            "text_layer": self.text_layer,
        }
        return {"type": "file", "file": file}


class ThinkingBlock(Body):
    """Of an earlier answer: it never becomes part of a prompt again."""

    type: Literal["thinking", "redacted_thinking"]
    thinking: Text = ""
    signature: Text = ""
    data: Text = ""


class CallBlock(Body):
    type: Literal["tool_use"]
    id: Id = ""
    name: Name
    input: dict[str, Any] = Field({})


def _as_block(value: Any) -> Any:
    """A picture as OpenAI's APIs have it is understood too."""
    match value:
        case {"type": "image_url", "image_url": {"url": url}}:
            return _picture(url)
        case {"type": "image_url" | "input_image", "image_url": str(url)}:
            return _picture(url)
        case {"type": "input_text", "text": text}:
            return {"type": "text", "text": text}
        case {"type": str() as kind}:
            refuse_video(kind, "messages")
    return value


def _picture(url: Any) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "url", "url": url}}


Shown = Annotated[
    TextBlock | ImageBlock | DocumentBlock,
    Field(discriminator="type"),
    BeforeValidator(_as_block),
]
Results = Annotated[
    Annotated[LongText, AS_TEXT] | Annotated[list[Shown], NO_BLOCKS, AS_LIST],
    Discriminator(form),
]


class ResultBlock(Body):
    """What a call gave."""

    type: Literal["tool_result"]
    tool_use_id: Id = ""
    content: Results = ""
    is_error: bool = False


UserBlock = Annotated[
    TextBlock | ImageBlock | DocumentBlock | ResultBlock,
    Field(discriminator="type"),
    BeforeValidator(_as_block),
]
AssistantBlock = Annotated[
    TextBlock | ThinkingBlock | CallBlock, Field(discriminator="type")
]


class UserMessage(Body):
    role: Literal["user"]
    content: Annotated[
        Annotated[LongText, AS_TEXT] | Annotated[list[UserBlock], N_PARTS, AS_LIST],
        Discriminator(form),
    ]


class AssistantMessage(Body):
    role: Literal["assistant"]
    content: Annotated[
        Annotated[Text, AS_TEXT] | Annotated[list[AssistantBlock], NO_BLOCKS, AS_LIST],
        Discriminator(form),
    ]


class SystemBlock(Body):
    type: Literal["text"]
    text: Text


System = Annotated[
    Annotated[Text, AS_TEXT] | Annotated[list[SystemBlock], NO_BLOCKS, AS_LIST],
    Discriminator(form),
]


class SystemMessage(Body):
    role: Literal["system"]
    content: System


Turn = Annotated[
    UserMessage | AssistantMessage | SystemMessage, Field(discriminator="role")
]
