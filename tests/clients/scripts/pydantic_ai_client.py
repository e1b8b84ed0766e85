"""pydantic-ai: pictures, its default output by a call, output by schema, tools."""

from __future__ import annotations

from unittest import TestCase

from given import (
    BASE_URL,
    CIRCLE,
    RIGHT,
    SQUARE,
    WHAT,
    Drawing,
    check,
    data_url,
    mime,
    read,
)
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, ImageUrl, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url=BASE_URL, api_key="unused")
chat = OpenAIChatModel("tiny", provider=provider)
responses = OpenAIResponsesModel("tiny", provider=provider)


class Report(BaseModel):
    """Says what a picture shows."""

    answer: Drawing


def question(picture: str) -> list[object]:
    return [WHAT, BinaryContent(read(picture), media_type=mime(picture))]


class Chat(TestCase):
    def test_pictures(self) -> None:
        for picture in RIGHT:
            check(Agent(chat).run_sync(question(picture)).output, picture)
        check(Agent(chat).run_sync([WHAT, ImageUrl(data_url(SQUARE))]).output, SQUARE)

    def test_conversation(self) -> None:
        agent = Agent(chat, instructions="Answer.")
        first = agent.run_sync(question(CIRCLE))
        again = agent.run_sync(question(SQUARE), message_history=first.all_messages())
        check(again.output, SQUARE)

    def test_stream(self) -> None:
        with Agent(chat).run_stream_sync(question(CIRCLE)) as run:
            check(run.get_output(), CIRCLE)


class Responses(TestCase):
    """The model that `openai:tiny` means."""

    def test_conversation(self) -> None:
        first = Agent(responses).run_sync(question(CIRCLE))
        check(first.output, CIRCLE)
        history = first.all_messages()
        again = Agent(responses).run_sync(question(SQUARE), message_history=history)
        check(again.output, SQUARE)

    def test_output(self) -> None:
        agent = Agent(responses, output_type=Report)
        assert isinstance(agent.run_sync(question(CIRCLE)).output, Report)
        native = Agent(responses, output_type=NativeOutput(Report))
        check(native.run_sync(question(CIRCLE)).output.answer, CIRCLE)


class Output(TestCase):
    def test_by_a_call(self) -> None:
        """The default."""
        result = Agent(chat, output_type=Report).run_sync(question(CIRCLE))
        assert isinstance(result.output, Report)

    def test_by_schema(self) -> None:
        for picture in RIGHT:
            agent = Agent(chat, output_type=NativeOutput(Report))
            check(agent.run_sync(question(picture)).output.answer, picture)


class Tools(TestCase):
    def test_offered_beside_text(self) -> None:
        agent = Agent(chat)

        @agent.tool_plain
        def measure(length: int) -> str:
            return f"{length} mm"

        assert agent.run_sync(question(CIRCLE)).output
