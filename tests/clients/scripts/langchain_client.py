"""langchain-openai: chat, tools, and structured output by each of its methods."""

from __future__ import annotations

import asyncio
from typing import Any
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
    encoded,
)
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import LengthFinishReasonError
from pydantic import BaseModel

model = ChatOpenAI(model="tiny", base_url=BASE_URL, api_key="unused", max_tokens=200)


class Report(BaseModel):
    """Says what a picture shows."""

    answer: Drawing


@tool
def report(answer: Drawing) -> str:
    """Says what a picture shows."""
    return answer


def question(picture: str, *others: dict[str, Any]) -> HumanMessage:
    url = {"type": "image_url", "image_url": {"url": data_url(picture)}}
    return HumanMessage([url, *others, {"type": "text", "text": WHAT}])


class Chat(TestCase):
    def test_forms_of_a_picture(self) -> None:
        for block in (
            {"type": "image_url", "image_url": {"url": data_url(SQUARE)}},
            {"type": "image_url", "image_url": data_url(SQUARE)},
            {"type": "image", "base64": encoded(SQUARE), "mime_type": "image/png"},
        ):
            said = HumanMessage([block, {"type": "text", "text": WHAT}])
            check(model.invoke([said]).text, SQUARE)
        check(
            model.invoke([HumanMessage([question(SQUARE).content[0], WHAT])]).text,
            SQUARE,
        )

    def test_conversation(self) -> None:
        first = model.invoke([SystemMessage("Answer."), question(CIRCLE)])
        check(model.invoke([question(CIRCLE), first, question(SQUARE)]).text, SQUARE)
        assert first.usage_metadata["output_tokens"] > 5

    def test_stream_and_batch(self) -> None:
        check("".join(c.text for c in model.stream([question(CIRCLE)])), CIRCLE)
        asked = [[question(picture)] for picture in RIGHT]
        for picture, answer in zip(RIGHT, model.batch(asked), strict=True):
            check(answer.text, picture)
        check(asyncio.run(model.ainvoke([question(CIRCLE)])).text, CIRCLE)


class Responses(TestCase):
    def test_chat_and_tools(self) -> None:
        fields = {"model": "tiny", "base_url": BASE_URL, "api_key": "unused"}
        other = ChatOpenAI(use_responses_api=True, max_tokens=200, **fields)
        check(other.invoke([question(CIRCLE)]).text, CIRCLE)
        bound = other.bind_tools([report], tool_choice="report")
        [call] = bound.invoke([question(CIRCLE)]).tool_calls
        assert call["args"]["answer"] in SENTENCES


class Structured(TestCase):
    def test_json_schema(self) -> None:
        shaped = model.with_structured_output(Report)  # its default
        for picture in RIGHT:
            check(shaped.invoke([question(picture)]).answer, picture)

    def test_function_calling(self) -> None:
        shaped = model.with_structured_output(Report, method="function_calling")
        assert isinstance(shaped.invoke([question(CIRCLE)]), Report)

    def test_json_mode(self) -> None:
        """The bundled model begins an object, which it cannot end."""
        shaped = model.with_structured_output(method="json_mode")
        with self.assertRaises(LengthFinishReasonError) as caught:
            shaped.invoke([question(CIRCLE)])
        assert caught.exception.completion.choices[0].message.content[0] == "{"


class Tools(TestCase):
    def test_any(self) -> None:
        bound = model.bind_tools([report], tool_choice="any", parallel_tool_calls=False)
        answer = bound.invoke([question(CIRCLE)])
        [call] = answer.tool_calls
        assert call["name"] == "report" and call["args"]["answer"] in SENTENCES
        result = ToolMessage("done", tool_call_id=call["id"])
        check(
            model.invoke([question(CIRCLE), answer, result, question(SQUARE)]).text,
            SQUARE,
        )

    def test_auto(self) -> None:
        answer = model.bind_tools([report]).invoke([question(CIRCLE)])
        assert isinstance(answer, AIMessage)
        assert answer.tool_calls or answer.invalid_tool_calls or answer.text

    def test_streamed(self) -> None:
        bound = model.bind_tools([report], tool_choice="report")
        whole = None
        for chunk in bound.stream([question(CIRCLE)]):
            whole = chunk if whole is None else whole + chunk
        [call] = whole.tool_calls
        assert call["args"]["answer"] in SENTENCES
