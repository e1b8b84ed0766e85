"""Texts and pictures that a request compares or embeds, each in a prompt of its own.

They become messages of the body of /v1/chat/completions, as `Request.prompts` reads
them: one of the system, the beginning of all prompts, and one for each.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Annotated, Any, Final, TypeVar

from fastapi import Request
from pydantic import BaseModel, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError
from starlette.responses import Response

from edge.cache_use import CacheUse
from edge.errors import UnsupportedParameter
from edge.request import Answer, Wants
from ui.asking import Asked
from ui.body import parse, validate
from ui.field_names import FieldNames
from ui.openai.body import ChatBody, Tier
from ui.openai.messages import ImagePart, ImageUrl, Part
from ui.openai.values import Body, Caching, Text
from ui.questions import Check, Questions
from ui.reply_in_one import ReplyInOne
from ui.respond import respond

MOST_PROMPTS: Final = 128  # of one request
# Of other servers' bodies; they change no result.
IGNORED: Final = {"user", "client_name", "metadata"}


def _as_input(value: Any) -> Any:
    """A text alone, parts of a message, or one part, as an object."""
    match value:
        case str():
            return {"text": value}
        case list():
            return {"content": value}
        case {"type": str()}:
            return {"content": [value]}
        case {"image_url": url, **rest}:
            return {"image": url, **rest}
    return value


def _as_image(value: Any) -> Any:
    """{"url": ...} for an address; base64 alone is a picture too."""
    if not isinstance(value, str):
        return value
    is_url = value.startswith(("data:", "http:", "https:"))
    return {"url": value if is_url else f"data:image/png;base64,{value}"}


class InputBody(Body):
    """A text, a picture, or both; or the parts of a message."""

    text: Text = ""
    image: Annotated[
        ImageUrl | None,
        BeforeValidator(_as_image, json_schema_input_type=ImageUrl | str | None),
    ] = None
    content: list[Part] = Field([], max_length=100, fail_fast=True)

    @model_validator(mode="after")
    def _is_read(self) -> InputBody:
        """Fields of another name alone would be an empty input, silently."""
        extra = self.model_extra or {}
        if extra and self.model_fields_set <= extra.keys():
            raise PydanticCustomError(
                "no_input", "Send text, image or content; no other field is read"
            )
        return self

    def parts(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The parts of a message, the picture first, and the field of each."""
        if self.image:
            yield ".image", _picture(self.image)
        for i, part in enumerate(self.content):
            if isinstance(part, ImagePart):
                yield f".content[{i}].image_url", _picture(part.image_url)
            else:
                yield f".content[{i}]", part.model_dump(exclude_unset=True)
        if self.text:
            yield ".text", {"type": "text", "text": self.text}


Input = Annotated[
    InputBody,
    BeforeValidator(
        _as_input, json_schema_input_type=InputBody | str | list[Part] | Part
    ),
]


class PromptsBody(Body):
    """A body with several prompts, whose other fields are those of a chat body."""

    model: Annotated[str, Field(max_length=1000)] = ""
    cache: Caching = CacheUse.DEFAULT
    service_tier: Tier | None = None
    priority: Annotated[int, Field(ge=-(2**31), lt=2**31)] = 0
    stream: bool = False

    @abstractmethod
    def chat_body(self, names: FieldNames) -> ChatBody:
        """All prompts; `names` learns where they come from. Raises InvalidRequest,
        UnsupportedParameter."""


B = TypeVar("B", bound=PromptsBody)
T = TypeVar("T")


async def respond_in_one(
    questions: Questions,
    http: Request,
    form: type[B],
    keep: Callable[[B], T],
    wants: Wants,
    render: Callable[[T, Asked, Answer], dict[str, Any]],
    check: Callable[[T], Check | None] | None = None,
) -> Response:
    """The response to a request, whose body has this `form` and whose answer holds what
    it `wants`. `keep` says what the answer needs of the body, what `check` returns
    refuses what the model cannot do with that, and `render` makes the body of the
    response. Raises the EdgeError that refuses it."""
    names = FieldNames()

    def read(data: bytearray) -> tuple[ChatBody, T]:
        body = parse(form, data)
        return body.chat_body(names), keep(body)

    with names.in_errors():
        received = await questions.receive(http, read, wants=wants, check=check)
        whole = partial(render, received.kept, received.asked)
        return await respond(http, received, ReplyInOne(whole, names), skip=0)


class Prompts:
    """Messages, each of which knows where it comes from. What is `empty` stands for an
    input without text and picture."""

    def __init__(self, system: str, names: FieldNames, empty: str) -> None:
        self._messages: list[dict[str, Any]] = [{"role": "system", "content": system}]
        self._names = names
        self._empty = empty

    def begin(self, text: str) -> None:
        """What all prompts begin with, where no client says it."""
        self._messages.append({"role": "user", "content": text})

    def add(self, before: str, given: InputBody, sent_as: str) -> None:
        """The next message: the text `before`, and what was `sent_as` this field."""
        at = f"messages[{len(self._messages)}]"
        self._names.add(at, sent_as)
        content = [{"type": "text", "text": before}] if before else []
        for field, part in given.parts():
            here = f"{at}.content[{len(content)}]"
            self._names.add(here, sent_as + field)
            self._names.add(f"{here}.image_url", sent_as + field)
            content.append(part)
        if len(content) == bool(before):
            content.append({"type": "text", "text": self._empty})
        self._messages.append({"role": "user", "content": content})

    def body(self, given: PromptsBody) -> ChatBody:
        """The body, with the other fields of `given`. Raises InvalidRequest."""
        fields = set(PromptsBody.model_fields)
        shared = given.model_dump(include=fields, exclude_unset=True)
        return validate(ChatBody, shared | {"messages": self._messages})


def refuse_unknown(
    body: BaseModel, hints: dict[str, str], ignored: Collection[str] = ()
) -> None:
    """Raises UnsupportedParameter for the first field of `body` that is not known and
    not `ignored`: it could change the result. `hints` say what to do instead."""
    for name, value in (body.model_extra or {}).items():
        if name not in (*IGNORED, *ignored) and value not in (None, False, "", [], {}):
            hint = hints.get(name, "Leave it out.")
            raise UnsupportedParameter(
                f"{name} is not supported here. {hint}", param=name
            )


def _picture(image: ImageUrl) -> dict[str, Any]:
    url = {"url": image.url, "detail": image.detail}
    return {"type": "image_url", "image_url": url}
