"""llama-index's OpenAILike, with its defaults where they can see a picture."""

import asyncio
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
    data_url,
    read,
)
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

chat = OpenAILike(
    model="tiny",
    api_base=BASE_URL,
    api_key="unused",
    is_chat_model=True,
    max_tokens=200,
)
calling = chat.model_copy(update={"is_function_calling_model": True})


class Report(BaseModel):
    """Says what a picture shows."""

    answer: Drawing


def report(answer: Drawing) -> str:
    """Says what a picture shows."""
    return answer


def question(picture: str) -> ChatMessage:
    return ChatMessage(blocks=[ImageBlock(path=picture), TextBlock(text=WHAT)])


class Chat(TestCase):
    def test_forms_of_a_picture(self) -> None:
        for block in (
            ImageBlock(path=SQUARE, detail="high"),
            ImageBlock(image=read(SQUARE), image_mimetype="image/png"),
            ImageBlock(url=data_url(SQUARE)),
        ):
            asked = ChatMessage(blocks=[block, TextBlock(text=WHAT)])
            check(chat.chat([asked]).message.content, SQUARE)

    def test_conversation(self) -> None:
        first = chat.chat([question(CIRCLE)]).message
        answer = chat.chat([question(CIRCLE), first, question(SQUARE)])
        check(answer.message.content, SQUARE)

    def test_streams(self) -> None:
        *_, last = chat.stream_chat([question(CIRCLE)])
        check(last.message.content, CIRCLE)

        async def ask() -> str:
            stream = await chat.astream_chat([question(CIRCLE)])
            return [chunk async for chunk in stream][-1].message.content

        check(asyncio.run(ask()), CIRCLE)


class Structured(TestCase):
    def test_by_schema(self) -> None:
        llm = chat.model_copy(update={"should_use_structured_outputs": True})
        for picture in RIGHT:
            answer = llm.as_structured_llm(Report).chat([question(picture)])
            check(answer.raw.answer, picture)

    def test_by_a_call(self) -> None:
        answer = calling.as_structured_llm(Report).chat([question(CIRCLE)])
        assert isinstance(answer.raw, Report)


class Tools(TestCase):
    def test_required(self) -> None:
        answer = calling.chat_with_tools(
            [FunctionTool.from_defaults(report)],
            chat_history=[question(CIRCLE)],
            tool_required=True,
        )
        call, *_ = calling.get_tool_calls_from_response(answer)
        assert call.tool_name == "report" and call.tool_kwargs["answer"] in SENTENCES


class Completions(TestCase):
    def test_defaults(self) -> None:
        """They ask /v1/completions, which has no pictures."""
        plain = OpenAILike(model="tiny", api_base=BASE_URL, api_key="unused")
        assert plain.complete("The picture shows").text
        assert [chunk.text for chunk in plain.stream_complete("The picture shows")][-1]
