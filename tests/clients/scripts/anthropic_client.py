"""The anthropic package: pictures, streams, tools, counting, its errors."""

from __future__ import annotations

from typing import Any
from unittest import TestCase

import anthropic
from given import CIRCLE, RIGHT, SENTENCES, SERVER, SQUARE, WHAT, check, encoded, mime

client = anthropic.Anthropic(base_url=SERVER, api_key="unused")
ANSWER = {"type": "string", "enum": SENTENCES}
REPORT: Any = {
    "name": "report",
    "description": "Says what a picture shows.",
    "input_schema": {
        "type": "object",
        "properties": {"answer": ANSWER},
        "required": ["answer"],
    },
}


def image(picture: str) -> dict[str, Any]:
    source = {"type": "base64", "media_type": mime(picture), "data": encoded(picture)}
    return {"type": "image", "source": source}


def question(picture: str) -> Any:
    content = [image(picture), {"type": "text", "text": WHAT}]
    return {"role": "user", "content": content}


def fields(*messages: Any, **given: Any) -> Any:
    return {"model": "tiny", "max_tokens": 200, "messages": list(messages)} | given


class Chat(TestCase):
    def test_pictures(self) -> None:
        for picture in RIGHT:
            answer = client.messages.create(**fields(question(picture)))
            check(answer.content[0].text, picture)
            assert answer.stop_reason == "end_turn"
            assert answer.usage.output_tokens > 5

    def test_conversation(self) -> None:
        first = client.messages.create(**fields(question(CIRCLE), system="Answer."))
        said = {"role": "assistant", "content": first.content}
        answer = client.messages.create(
            **fields(question(CIRCLE), said, question(SQUARE))
        )
        check(answer.content[0].text, SQUARE)

    def test_stream(self) -> None:
        with client.messages.stream(**fields(question(CIRCLE))) as stream:
            check("".join(stream.text_stream), CIRCLE)
            assert stream.get_final_message().usage.output_tokens > 5

    def test_stop_sequence(self) -> None:
        answer = client.messages.create(
            **fields(question(CIRCLE), stop_sequences=[" red"])
        )
        assert answer.content[0].text == "The picture shows a"
        assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", " red")

    def test_counting(self) -> None:
        asked = fields(question(CIRCLE))
        answer = client.messages.create(**asked)
        asked.pop("max_tokens")
        counted = client.messages.count_tokens(**asked)
        usage = answer.usage
        n_cached = usage.cache_read_input_tokens or 0
        assert counted.input_tokens == usage.input_tokens + n_cached


class Tools(TestCase):
    def test_forced(self) -> None:
        for choice in ({"type": "any"}, {"type": "tool", "name": "report"}):
            choice["disable_parallel_tool_use"] = True
            asked = fields(question(CIRCLE), tools=[REPORT], tool_choice=choice)
            answer = client.messages.create(**asked)
            [call] = answer.content
            assert answer.stop_reason == "tool_use"
            assert call.name == "report" and call.input["answer"] in SENTENCES
            result = {"type": "tool_result", "tool_use_id": call.id}
            result |= {"content": [image(SQUARE)]}
            said = {"role": "assistant", "content": answer.content}
            parts = [result, {"type": "text", "text": WHAT}]
            again = fields(question(CIRCLE), said, {"role": "user", "content": parts})
            assert client.messages.create(**again).content[0].text

    def test_streamed(self) -> None:
        choice = {"type": "tool", "name": "report"}
        asked = fields(question(CIRCLE), tools=[REPORT], tool_choice=choice)
        with client.messages.stream(**asked) as stream:
            [call] = stream.get_final_message().content
        assert call.input["answer"] in SENTENCES


class Errors(TestCase):
    def test_an_unknown_model(self) -> None:
        with self.assertRaises(anthropic.NotFoundError) as caught:
            client.messages.create(**fields(question(CIRCLE), model="claude"))
        assert "tiny" in caught.exception.body["error"]["message"]
        assert caught.exception.body["error"]["type"] == "not_found_error"

    def test_too_long(self) -> None:
        message = {"role": "user", "content": "word " * 30_000}
        with self.assertRaises(anthropic.BadRequestError) as caught:
            client.messages.create(**fields(message))
        assert caught.exception.body["error"]["type"] == "invalid_request_error"
