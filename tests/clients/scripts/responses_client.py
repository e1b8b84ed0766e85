"""The openai package on the Responses API, and on plain completions."""

from __future__ import annotations

import time
from typing import Any
from unittest import TestCase

import openai
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

client = openai.OpenAI(base_url=BASE_URL, api_key="unused")


class Report(BaseModel):
    answer: Drawing


REPORT: Any = {
    "type": "function",
    "name": "report",
    "parameters": Report.model_json_schema(),
}


def question(picture: str) -> Any:
    image = {"type": "input_image", "image_url": data_url(picture), "detail": "auto"}
    return {"role": "user", "content": [image, {"type": "input_text", "text": WHAT}]}


def ask(*items: Any, **fields: Any) -> Any:
    return client.responses.create(model="tiny", input=list(items), **fields)


class Responses(TestCase):
    def test_pictures(self) -> None:
        for picture in RIGHT:
            answer = ask(question(picture), instructions="Answer.")
            check(answer.output_text, picture)
            assert answer.status == "completed" and answer.usage.output_tokens > 5

    def test_a_stored_conversation(self) -> None:
        first = ask(question(CIRCLE))
        assert client.responses.retrieve(first.id).output_text == first.output_text
        second = ask(question(SQUARE), previous_response_id=first.id)
        check(second.output_text, SQUARE)
        client.responses.delete(first.id)
        with self.assertRaises(openai.NotFoundError):
            client.responses.retrieve(first.id)

    def test_stream(self) -> None:
        fields = {"model": "tiny", "input": [question(CIRCLE)]}
        with client.responses.stream(**fields) as stream:
            deltas = [e.delta for e in stream if e.type == "response.output_text.delta"]
            check("".join(deltas), CIRCLE)
            check(stream.get_final_response().output_text, CIRCLE)

    def test_parse(self) -> None:
        for picture in RIGHT:
            answer = client.responses.parse(
                model="tiny", input=[question(picture)], text_format=Report
            )
            check(answer.output_parsed.answer, picture)

    def test_a_required_call(self) -> None:
        fields = {"tools": [REPORT], "tool_choice": "required"}
        answer = ask(question(CIRCLE), parallel_tool_calls=False, **fields)
        [call] = answer.output
        report = Report.model_validate_json(call.arguments)
        assert call.type == "function_call" and report.answer in SENTENCES
        result = {"type": "function_call_output", "call_id": call.call_id}
        again = ask(result | {"output": "done"}, previous_response_id=answer.id)
        assert again.status == "completed"

    def test_in_the_background(self) -> None:
        answer = ask(question(CIRCLE), background=True)
        give_up = time.monotonic() + 60
        while answer.status in ("queued", "in_progress"):
            assert time.monotonic() < give_up
            time.sleep(0.2)
            answer = client.responses.retrieve(answer.id)
        check(answer.output_text, CIRCLE)


class Completions(TestCase):
    def test_text(self) -> None:
        fields = {
            "model": "tiny",
            "prompt": "The picture shows a red",
            "max_tokens": 20,
        }
        assert client.completions.create(**fields).choices[0].text
        stream = client.completions.create(stream=True, **fields)
        assert "".join(chunk.choices[0].text for chunk in stream if chunk.choices)
