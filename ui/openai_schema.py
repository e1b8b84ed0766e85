"""The body of POST /v1/chat/completions: its fields, and their meaning here.

Source: the OpenAI API reference, "Create chat completion". Fields that would
change the answer and are not supported are refused; other unknown fields are ignored.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
)

from edge.errors import (
    InvalidPicture,
    UnsupportedParameter,
    UrlNotAllowed,
)
from edge.images import Detail
from edge.request import SamplingParams
from edge.schemas.reading import read

BASE64_PIECE = 1 << 17  # letters decoded at a time: 0.15 ms

UNSUPPORTED = (
    "audio",
    "functions",
    "function_call",
    "logprobs",
    "modalities",
    "tool_choice",
    "tools",
    "web_search_options",
)
# Values that change nothing; some clients send them always.
HARMLESS = {
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "tool_choice": ("none", "auto"),
}
# Sampling fields with the same meaning in both.
SHARED = {f.name for f in fields(SamplingParams)} - {
    "max_tokens",
    "stop",
    "logit_bias",
    "json_schema",
}


def _whole(value: Any) -> Any:
    """100.0 as 100: some clients have only one kind of number."""
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value) if is_whole else value


def _form(value: Any) -> str:
    """The member of `text | list` to validate, so that only that one complains."""
    return "list" if isinstance(value, list) else "text"


Text = Annotated[str, Field(max_length=200_000)]
TokenId = Annotated[str, Field(pattern="^[0-9]{1,9}$")]
Count = Annotated[int, Field(ge=1, le=2**31 - 1), BeforeValidator(_whole)]
Bias = Annotated[float, Field(ge=-100, le=100)]
Penalty = Annotated[float, Field(ge=-2, le=2)]


class _Body(BaseModel):
    # unknown fields are kept only to be measured: see `ui.ignored`
    model_config = ConfigDict(strict=True, allow_inf_nan=False, extra="allow")


class ImageUrl(_Body):
    url: str
    detail: Detail = "auto"


class TextPart(_Body):
    type: Literal["text"]
    text: Text


class ImagePart(_Body):
    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]
# The first wrong item ends a list: a million complaints would take long to write.
N_PARTS = Field(min_length=1, max_length=1000, fail_fast=True)

Texts = Annotated[
    Annotated[Text, Tag("text")] | Annotated[list[TextPart], N_PARTS, Tag("list")],
    Discriminator(_form),
]
Parts = Annotated[
    Annotated[Text, Tag("text")] | Annotated[list[Part], N_PARTS, Tag("list")],
    Discriminator(_form),
]
Word = Annotated[str, Field(min_length=1, max_length=200)]
Stop = Annotated[
    Annotated[Word, Tag("text")]
    | Annotated[list[Word], Field(max_length=4), Tag("list")],
    Discriminator(_form),
]


class SystemMessage(_Body):
    role: Literal["system", "developer"]
    content: Texts


class UserMessage(_Body):
    role: Literal["user"]
    content: Parts


class AssistantMessage(_Body):
    role: Literal["assistant"]
    content: Texts


ChatMessage = Annotated[
    SystemMessage | UserMessage | AssistantMessage, Field(discriminator="role")
]


class PlainFormat(_Body):
    type: Literal["text"]

    @property
    def constraint(self) -> str:
        return ""


class JsonFormat(_Body):
    """An object of any kind; or of this schema, as llama-server understands it."""

    type: Literal["json_object"]
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None

    @property
    def constraint(self) -> str:
        schema = {"type": "object"} if self.schema_ is None else self.schema_
        return read(schema, "response_format.schema")


class NamedSchema(_Body):
    name: Annotated[str, Field(max_length=200)] = ""
    schema_: Annotated[dict[str, Any], Field(alias="schema")]


class SchemaFormat(_Body):
    type: Literal["json_schema"]
    json_schema: NamedSchema

    @property
    def constraint(self) -> str:
        return read(self.json_schema.schema_)


ResponseFormat = Annotated[
    PlainFormat | JsonFormat | SchemaFormat, Field(discriminator="type")
]


class StreamOptions(_Body):
    include_usage: bool = False


Tier = Literal["auto", "default", "fast", "flex", "priority", "scale"]


class ChatBody(_Body):
    messages: list[ChatMessage] = Field(min_length=1, max_length=1000, fail_fast=True)
    model: Annotated[str, Field(max_length=1000)] = ""
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repeat_penalty: Annotated[float, Field(ge=0.5, le=2)] | None = None
    logit_bias: dict[TokenId, Bias] | None = Field(None, max_length=1000)
    response_format: ResponseFormat | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: Stop | None = None
    n: Annotated[int, Field(ge=1, le=1)] | None = None
    # flex is OpenAI's word for batch work: interactive questions go first
    service_tier: Tier | None = None
    truncate: Literal["auto", "off"] = "off"  # not OpenAI's: auto leaves old turns out

    def refuse_unsupported(self) -> None:
        """Raises UnsupportedParameter for the first field on which the client relies
        and which this server would ignore."""
        extra = self.model_extra or {}
        for name in UNSUPPORTED:
            asked = extra.get(name)
            if asked and asked not in HARMLESS.get(name, ()):
                raise UnsupportedParameter(
                    f"{name} is not supported by this server. Leave it out.", param=name
                )

    @property
    def longest_answer(self) -> int | None:
        """The tokens that were asked for; None: the server decides."""
        return self.max_completion_tokens or self.max_tokens

    def sampling(self, max_tokens: int) -> SamplingParams:
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        given = self.model_dump(include=SHARED, exclude_none=True)
        biases = (self.logit_bias or {}).items()
        return SamplingParams(
            max_tokens=max_tokens,
            stop=stop,
            logit_bias=tuple(sorted((int(token), bias) for token, bias in biases)),
            json_schema=self.response_format.constraint if self.response_format else "",
            **given,
        )


def parts_of(message: ChatMessage) -> Iterator[TextPart | ImagePart]:
    """The parts of a message; a plain string is one text part."""
    if isinstance(message.content, str):
        yield TextPart(type="text", text=message.content)
    else:
        yield from message.content


def decode_data_url(url: str) -> bytes:
    """The bytes in a `data:` URL (RFC 2397), base64 only.

    Raises UrlNotAllowed for any other scheme: no URL from a client is ever opened.
    """
    scheme, _, rest = url.partition(":")
    if scheme.lower() != "data":
        raise UrlNotAllowed(
            "Pictures are accepted only as data: URLs; this server opens no other "
            "address. Send the picture itself, base64-encoded."
        )
    header, comma, payload = rest.partition(",")
    kind = header.lower()
    if not comma or not kind.startswith("image/") or not kind.endswith(";base64"):
        raise InvalidPicture("A picture's URL must begin with data:image/...;base64,")
    try:
        return decode_base64(payload)
    except ValueError:  # also for letters beyond ASCII
        raise InvalidPicture("This picture is not valid base64.") from None


def decode_base64(text: str) -> bytes:
    """The bytes that `text` encodes, in pieces: decoding holds Python's lock, and the
    event loop waits for it. Raises ValueError for anything but whole base64."""
    if 0 <= text.find("=") < len(text) - 2:
        raise ValueError("padding before the end")
    pieces = range(0, max(len(text), 1), BASE64_PIECE)
    # not b64decode, which first searches for letters that do not belong
    return b"".join(
        binascii.a2b_base64(text[at : at + BASE64_PIECE], strict_mode=True)
        for at in pieces
    )
