"""The openai package, of its current and of its first major version."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any
from unittest import TestCase

import openai
from given import (
    BASE_URL,
    CIRCLE,
    RIGHT,
    SENTENCES,
    SQUARE,
    TRIANGLE,
    WHAT,
    Drawing,
    check,
    data_url,
    encoded,
)
from pydantic import BaseModel

client = openai.OpenAI(base_url=BASE_URL, api_key="unused")


class Report(BaseModel):
    answer: Drawing


REPORT: Any = {
    "type": "function",
    "function": {"name": "report", "parameters": Report.model_json_schema()},
}


def tool(name: str) -> Any:
    function = {"name": name, "description": "Does what a picture shows. " * 80}
    return {"type": "function", "function": function}


def part(picture: str, **fields: Any) -> dict[str, Any]:
    url = {"url": data_url(picture)} | fields
    return {"type": "image_url", "image_url": url}


def question(*pictures: str, text: str = WHAT) -> Any:
    parts = [*map(part, pictures), {"type": "text", "text": text}]
    return {"role": "user", "content": parts}


def ask(*messages: Any, **fields: Any) -> Any:
    fields = {"model": "tiny", "max_tokens": 200} | fields
    return client.chat.completions.create(messages=list(messages), **fields)


def text(answer: Any) -> str:
    return answer.choices[0].message.content


class Pictures(TestCase):
    def test_each_is_recognised(self) -> None:
        for picture in RIGHT:
            check(text(ask(question(picture))), picture)

    def test_details(self) -> None:
        for detail in ("auto", "low", "high", "original", None):
            content = [part(CIRCLE, detail=detail), {"type": "text", "text": WHAT}]
            check(text(ask({"role": "user", "content": content})), CIRCLE)

    def test_several_in_turns(self) -> None:
        first = ask(question(CIRCLE))
        said = first.choices[0].message.model_dump()
        check(text(ask(question(CIRCLE), said, question(SQUARE))), SQUARE)

    def test_forgiven_forms(self) -> None:
        lines = base64.encodebytes(base64.b64decode(encoded(CIRCLE))).decode()
        unpadded = encoded(CIRCLE).rstrip("=")
        for url in (
            f"data:image/jpeg;base64,{lines}",
            f"data:image/jpeg;base64,{unpadded}",
            f"data:application/octet-stream;base64,{unpadded}",
            f"data:;base64,{unpadded.replace('+', '-').replace('/', '_')}",
        ):
            parts = [{"type": "image_url", "image_url": url}, WHAT]
            check(text(ask({"role": "user", "content": parts})), CIRCLE)
            markdown = f"![picture]({url.strip()}) {WHAT}"
            if "image/" in url and "\n" not in url:
                check(text(ask({"role": "user", "content": markdown})), CIRCLE)

    def test_a_picture_in_the_wrong_place_is_refused_by_name(self) -> None:
        message = {"role": "user", "content": WHAT, "images": [encoded(CIRCLE)]}
        with self.assertRaises(openai.BadRequestError) as caught:
            ask(message)
        assert "messages[0].images" in str(caught.exception), caught.exception

    def test_an_address_is_refused(self) -> None:
        url = {"url": "http://example.com/a.png"}
        parts = [{"type": "image_url", "image_url": url}]
        with self.assertRaises(openai.BadRequestError) as caught:
            ask({"role": "user", "content": parts})
        assert caught.exception.code == "url_not_allowed", caught.exception


class Fields(TestCase):
    def test_what_changes_nothing_is_accepted(self) -> None:
        for fields in (
            {"modalities": ["text"]},
            {"tools": [], "tool_choice": "none"},
            {"tool_choice": "auto"},
            {"n": 1, "seed": 1, "user": "me", "store": True, "metadata": {"a": "b"}},
            {"extra_body": {"stream": None, "truncate": None, "top_k": -1}},
            {"max_completion_tokens": 60},
            {"model": ""},
        ):
            check(text(ask(question(CIRCLE), **fields)), CIRCLE)

    def test_what_vllm_calls_so(self) -> None:
        longer = {"min_tokens": 20, "ignore_eos": True}
        answer = ask(question(CIRCLE), max_tokens=30, extra_body=longer)
        assert answer.usage.completion_tokens == 30
        assert answer.choices[0].finish_reason == "length"

    def test_log_probabilities(self) -> None:
        answer = ask(question(CIRCLE), logprobs=True, top_logprobs=3)
        tokens = answer.choices[0].logprobs.content
        assert "".join(token.token for token in tokens) == text(answer)
        assert all(len(token.top_logprobs) == 3 for token in tokens)
        assert all(token.logprob <= 0 for token in tokens)

    def test_several_answers(self) -> None:
        answer = ask(question(CIRCLE), n=2, temperature=0.5, seed=1)
        assert [choice.index for choice in answer.choices] == [0, 1]
        for choice in answer.choices:
            assert choice.message.content

    def test_more_tokens_than_there_are(self) -> None:
        answer = ask(question(CIRCLE), max_tokens=1_000_000)
        check(text(answer), CIRCLE)
        assert answer.max_tokens < 10_000

    def test_stop(self) -> None:
        assert text(ask(question(CIRCLE), stop=[" red"])) == "The picture shows a"

    def test_roles(self) -> None:
        for role in ("system", "developer"):
            check(text(ask({"role": role, "content": ""}, question(CIRCLE))), CIRCLE)

    def test_an_answer_of_another_server(self) -> None:
        call = {"name": "look", "arguments": "{}"}
        calls = [{"id": "c1", "type": "function", "function": call}]
        said = {"role": "assistant", "content": None, "tool_calls": calls}
        result = {"role": "tool", "tool_call_id": "c1", "content": "done"}
        check(text(ask(question(TRIANGLE), said, result, question(CIRCLE))), CIRCLE)


class Streams(TestCase):
    def test_deltas_and_usage(self) -> None:
        chunks = list(
            ask(question(CIRCLE), stream=True, stream_options={"include_usage": True})
        )
        pieces = [c.choices[0].delta.content or "" for c in chunks if c.choices]
        check("".join(pieces), CIRCLE)
        assert chunks[-1].usage.completion_tokens > 5

    def test_asynchronous(self) -> None:
        async def ask_all() -> list[Any]:
            async with openai.AsyncOpenAI(base_url=BASE_URL, api_key="x") as them:
                waiting = (
                    them.chat.completions.create(
                        model="tiny", messages=[question(picture)]
                    )
                    for picture in RIGHT
                )
                return await asyncio.gather(*waiting)

        for picture, answer in zip(RIGHT, asyncio.run(ask_all()), strict=True):
            check(text(answer), picture)


class Shapes(TestCase):
    def test_parse(self) -> None:
        for picture in RIGHT:
            answer = client.chat.completions.parse(
                model="tiny", messages=[question(picture)], response_format=Report
            )
            check(answer.choices[0].message.parsed.answer, picture)

    def test_the_fields_of_other_servers(self) -> None:
        schema = Report.model_json_schema()
        for fields in (
            {"structured_outputs": {"choice": SENTENCES}},
            {"guided_choice": SENTENCES},
            {"guided_regex": "A (red circle|blue square)[.]"},
            {"grammar": "start: " + "|".join(f'"{one}"' for one in SENTENCES)},
            {"guided_json": schema},
            {"structured_outputs": {"json": schema}},
            {"response_format": {"type": "json_object", "schema": schema}},
        ):
            check(text(ask(question(CIRCLE), extra_body=fields)), CIRCLE)


class Tools(TestCase):
    """The bundled model never learned tools: what is asked for here is forced."""

    def test_a_required_call(self) -> None:
        named = {"type": "function", "function": {"name": "report"}}
        for choice in ("required", named):
            fields = {"tools": [REPORT], "tool_choice": choice}
            answer = ask(question(CIRCLE), parallel_tool_calls=False, **fields)
            assert answer.choices[0].finish_reason == "tool_calls", answer
            [call] = answer.choices[0].message.tool_calls
            Report.model_validate_json(call.function.arguments)

    def test_a_streamed_call(self) -> None:
        arguments, names, ids = "", [], []
        fields = {"tools": [REPORT], "tool_choice": "required", "stream": True}
        for chunk in ask(question(CIRCLE), parallel_tool_calls=False, **fields):
            for call in chunk.choices[0].delta.tool_calls or []:
                arguments += call.function.arguments or ""
                names += [call.function.name] if call.function.name else []
                ids += [call.id] if call.id else []
        Report.model_validate_json(arguments)
        assert names == ["report"] and len(ids) == 1, (names, ids)

    def test_auto(self) -> None:
        answer = ask(question(CIRCLE), tools=[REPORT]).choices[0]
        for call in answer.message.tool_calls or []:
            json.loads(call.function.arguments)
        assert answer.message.tool_calls or answer.message.content

    def test_too_many_to_fit(self) -> None:
        """As Open WebUI's page sends them with every question."""
        many = [REPORT, *(tool(f"f{i}") for i in range(20))]
        answer = ask(question(CIRCLE), tools=many)
        check(text(answer), CIRCLE)
        assert answer.dropped_tools
        assert not ask(question(CIRCLE), tools=[REPORT]).dropped_tools
        with self.assertRaises(openai.BadRequestError):
            ask(question(CIRCLE), tools=many, tool_choice="required")


class Embeddings(TestCase):
    def test_texts_and_pictures(self) -> None:
        """The package asks for base64 and decodes it itself."""
        given: Any = ["A red circle.", {"image": data_url(CIRCLE)}]
        found = client.embeddings.create(model="tiny", input=given)
        text, picture = (one.embedding for one in found.data)
        assert len(text) == len(picture) > 64
        assert abs(sum(x * x for x in text) - 1) < 1e-3
        assert found.usage.total_tokens > 0

    def test_fewer_dimensions(self) -> None:
        for form in ("float", "base64"):
            found = client.embeddings.create(
                model="tiny", input="A red circle.", dimensions=32, encoding_format=form
            )
            assert len(found.data[0].embedding) == 32 or form == "base64"

    def test_errors_name_the_field(self) -> None:
        with self.assertRaises(openai.BadRequestError) as caught:
            client.embeddings.create(model="tiny", input=[])
        assert caught.exception.param == "input"


class Models(TestCase):
    def test_list_and_retrieve(self) -> None:
        assert [model.id for model in client.models.list()] == ["tiny"]
        assert client.models.retrieve("tiny").id == "tiny"

    def test_an_unknown_model(self) -> None:
        with self.assertRaises(openai.NotFoundError) as caught:
            ask(question(CIRCLE), model="gpt-5")
        assert "tiny" in str(caught.exception)


class Errors(TestCase):
    def test_too_long(self) -> None:
        with self.assertRaises(openai.BadRequestError) as caught:
            ask({"role": "user", "content": "word " * 30_000})
        assert caught.exception.code == "context_length_exceeded", caught.exception

    def test_a_base_url_without_v1(self) -> None:
        wrong = openai.OpenAI(base_url=BASE_URL.removesuffix("/v1"), api_key="x")
        with self.assertRaises(openai.NotFoundError) as caught:
            wrong.chat.completions.create(model="tiny", messages=[question(CIRCLE)])
        assert "/v1" in str(caught.exception)
