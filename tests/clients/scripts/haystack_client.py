"""haystack: pictures, streams, tools, and a form of the answer."""

import json
from unittest import TestCase

from given import (
    BASE_URL,
    CIRCLE,
    RIGHT,
    SENTENCES,
    SQUARE,
    WHAT,
    Drawing,
    check,
    encoded,
    mime,
)
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage, ImageContent
from haystack.tools import Tool
from haystack.utils import Secret
from pydantic import BaseModel


class Report(BaseModel):
    answer: Drawing


report = Tool(
    name="report",
    description="Says what a picture shows.",
    parameters=Report.model_json_schema(),
    function=lambda answer: answer,
)


def generator(**fields: object) -> OpenAIChatGenerator:
    return OpenAIChatGenerator(
        model="tiny",
        api_base_url=BASE_URL,
        api_key=Secret.from_token("unused"),
        generation_kwargs={"max_tokens": 200} | fields,
    )


def question(picture: str) -> ChatMessage:
    image = ImageContent(base64_image=encoded(picture), mime_type=mime(picture))
    return ChatMessage.from_user(content_parts=[WHAT, image])


def ask(asking: OpenAIChatGenerator, *messages: ChatMessage, **options: object):
    return asking.run(messages=list(messages), **options)["replies"][0]


class Chat(TestCase):
    def test_conversation(self) -> None:
        first = ask(generator(), question(CIRCLE))
        check(first.text, CIRCLE)
        answer = ask(generator(), question(CIRCLE), first, question(SQUARE))
        check(answer.text, SQUARE)

    def test_stream(self) -> None:
        pieces: list[str] = []
        ask(
            generator(),
            question(CIRCLE),
            streaming_callback=lambda chunk: pieces.append(chunk.content),
        )
        check("".join(pieces), CIRCLE)


class Shapes(TestCase):
    def test_by_schema(self) -> None:
        for picture in RIGHT:
            answer = ask(generator(response_format=Report), question(picture))
            check(json.loads(answer.text)["answer"], picture)


class Tools(TestCase):
    def test_required(self) -> None:
        asking = generator(tool_choice="required", parallel_tool_calls=False)
        [call] = ask(asking, question(CIRCLE), tools=[report]).tool_calls
        assert call.arguments["answer"] in SENTENCES

    def test_auto(self) -> None:
        answer = ask(generator(), question(CIRCLE), tools=[report])
        assert answer.text or answer.tool_calls
