"""litellm's SDK: pictures, tools, drop_params, its own exceptions."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest import TestCase

import litellm
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
)
from pydantic import BaseModel

litellm.suppress_debug_info = True


class Report(BaseModel):
    answer: Drawing


TOOL = {
    "type": "function",
    "function": {"name": "report", "parameters": Report.model_json_schema()},
}


def fields(*pictures: str, **given: Any) -> dict[str, Any]:
    parts: list[Any] = [
        {"type": "image_url", "image_url": {"url": data_url(picture)}}
        for picture in pictures
    ]
    messages = [{"role": "user", "content": [*parts, {"type": "text", "text": WHAT}]}]
    asked = {"model": "openai/tiny", "messages": messages, "max_tokens": 200}
    return asked | {"api_base": BASE_URL, "api_key": "unused"} | given


class Chat(TestCase):
    def test_by_each_provider(self) -> None:
        for provider in ("openai", "hosted_vllm", "lm_studio"):
            with self.subTest(provider):
                asked = fields(SQUARE, model=f"{provider}/tiny")
                answer = litellm.completion(**asked)
                check(answer.choices[0].message.content, SQUARE)

    def test_stream(self) -> None:
        options = {"stream": True, "stream_options": {"include_usage": True}}
        chunks = list(litellm.completion(**fields(CIRCLE, **options)))
        pieces = [c.choices[0].delta.content or "" for c in chunks if c.choices]
        check("".join(pieces), CIRCLE)
        assert chunks[-1].usage.completion_tokens > 5

    def test_asynchronous(self) -> None:
        async def ask_all() -> Any:
            return await asyncio.gather(
                *(litellm.acompletion(**fields(picture)) for picture in RIGHT)
            )

        for picture, answer in zip(RIGHT, asyncio.run(ask_all()), strict=True):
            check(answer.choices[0].message.content, picture)

    def test_by_schema(self) -> None:
        answer = litellm.completion(**fields(CIRCLE, response_format=Report))
        report = Report.model_validate_json(answer.choices[0].message.content)
        check(report.answer, CIRCLE)


class OtherApis(TestCase):
    def test_responses(self) -> None:
        parts = [
            {"type": "input_image", "image_url": data_url(SQUARE)},
            {"type": "input_text", "text": WHAT},
        ]
        answer = litellm.responses(
            model="openai/tiny",
            api_base=BASE_URL,
            api_key="unused",
            input=[{"role": "user", "content": parts}],
        )
        [message] = answer.output
        check(message.content[0].text, SQUARE)


class Tools(TestCase):
    def test_required(self) -> None:
        for dropped in (False, True):
            answer = litellm.completion(
                **fields(CIRCLE, tools=[TOOL], tool_choice="required"),
                parallel_tool_calls=False,
                drop_params=dropped,
            )
            [call] = answer.choices[0].message.tool_calls
            report = Report.model_validate_json(call.function.arguments)
            assert report.answer in SENTENCES


class Errors(TestCase):
    def test_too_long(self) -> None:
        """Its fallbacks to a model with more context start with this exception."""
        messages = [{"role": "user", "content": "word " * 30_000}]
        with self.assertRaises(litellm.ContextWindowExceededError):
            litellm.completion(**fields(messages=messages))
