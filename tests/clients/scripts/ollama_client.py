"""The ollama package: its chat, generate, and what it tells of models."""

from __future__ import annotations

import json
from typing import Any
from unittest import TestCase

import ollama
from given import CIRCLE, RIGHT, SENTENCES, SERVER, SQUARE, WHAT, check, read

client = ollama.Client(host=SERVER)
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string", "enum": SENTENCES}},
    "required": ["answer"],
}


def question(picture: str) -> dict[str, Any]:
    return {"role": "user", "content": WHAT, "images": [read(picture)]}


class Chat(TestCase):
    def test_pictures(self) -> None:
        for picture in RIGHT:
            answer = client.chat("tiny", [question(picture)], keep_alive="5m")
            check(answer.message.content, picture)
            assert answer.done and answer.eval_count > 5

    def test_conversation(self) -> None:
        first = client.chat("tiny:latest", [question(CIRCLE)]).message
        answer = client.chat("tiny", [question(CIRCLE), first, question(SQUARE)])
        check(answer.message.content, SQUARE)

    def test_stream(self) -> None:
        chunks = list(client.chat("tiny", [question(CIRCLE)], stream=True))
        check("".join(chunk.message.content or "" for chunk in chunks), CIRCLE)
        assert [chunk.done for chunk in chunks][-1]

    def test_options(self) -> None:
        options = {"stop": [" red"], "num_predict": 20, "temperature": 0}
        answer = client.chat("tiny", [question(CIRCLE)], options=options)
        assert answer.message.content == "The picture shows a"

    def test_a_form_of_the_answer(self) -> None:
        for picture in RIGHT:
            answer = client.chat("tiny", [question(picture)], format=SCHEMA)
            check(json.loads(answer.message.content or "")["answer"], picture)

    def test_tools_offered_beside_text(self) -> None:
        def measure(length: int) -> str:
            """Measures.

            Args:
                length: in mm
            """
            return f"{length} mm"

        answer = client.chat("tiny", [question(CIRCLE)], tools=[measure]).message
        assert answer.content or answer.tool_calls


class Generate(TestCase):
    def test_pictures(self) -> None:
        for picture in RIGHT:
            answer = client.generate("tiny", WHAT, images=[read(picture)])
            check(answer.response, picture)

    def test_stream(self) -> None:
        chunks = client.generate("tiny", WHAT, images=[read(CIRCLE)], stream=True)
        check("".join(chunk.response for chunk in chunks), CIRCLE)


class Models(TestCase):
    def test_what_is_told(self) -> None:
        names = [model.model for model in client.list().models]
        assert any(name.startswith("tiny") for name in names), names
        assert "vision" in client.show("tiny").capabilities
        assert client.ps().models

    def test_an_unknown_model(self) -> None:
        with self.assertRaises(ollama.ResponseError) as caught:
            client.chat("llava", [question(CIRCLE)])
        assert caught.exception.status_code == 404
        assert "tiny" in caught.exception.error
