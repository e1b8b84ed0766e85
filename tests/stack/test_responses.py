"""The Responses API, asked with OpenAI's client."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel

from tests.stack.conftest import Stack, drawing

pytestmark = [pytest.mark.stack, pytest.mark.nginx, pytest.mark.model]

SHAPES = ["circle", "square", "triangle", "star"]
REPORT: Any = {
    "type": "function",
    "name": "report",
    "description": "Reports the shape in a picture.",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"answer": {"enum": [f"A red {one}." for one in SHAPES]}},
        "required": ["answer"],
        "additionalProperties": False,
    },
}
ASKED: Any = {"type": "input_text", "text": "What is in this picture?"}


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[OpenAI]:
    url, http = stack.url + "/v1", stack.sdk_client()
    with OpenAI(base_url=url, api_key="none", max_retries=0, http_client=http) as one:
        yield one


def picture(colour: str = "red", shape: str = "circle") -> Any:
    encoded = base64.b64encode(drawing(colour, shape=shape)).decode()
    url = f"data:image/jpeg;base64,{encoded}"
    return {"type": "input_image", "image_url": url, "detail": "auto"}


def user(*content: Any) -> Any:
    return {"role": "user", "content": list(content)}


def ask(client: OpenAI, given: Any, **more: Any) -> Any:
    """A response that is stored: a cache server that stands still stores none."""
    for _ in range(3):
        response: Any = client.responses.create(
            model="tiny", input=given, **{"max_output_tokens": 60} | more
        )
        if response.store:
            break
        time.sleep(1)
    return response


def test_a_picture_is_answered(client: OpenAI) -> None:
    response = ask(client, [user(picture(), ASKED)])
    assert "red circle" in response.output_text
    assert (response.status, response.error) == ("completed", None)
    assert response.usage.input_tokens > 100
    assert response.usage.output_tokens > 0


def test_a_stream_is_parsed_by_the_client(client: OpenAI) -> None:
    for _ in range(3):  # unless the cache server stood still
        kinds = []
        with client.responses.stream(
            model="tiny", input=[user(picture("blue", "square"), ASKED)]
        ) as stream:
            for event in stream:
                kinds.append(event.type)
                if event.type == "response.output_text.delta":
                    text = event.snapshot
            response: Any = stream.get_final_response()
        if response.store:
            break
        time.sleep(1)
    assert "blue square" in response.output_text == text
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    stored = client.responses.retrieve(response.id)
    assert stored.output_text == response.output_text
    again = client.responses.retrieve(response.id, stream=True, starting_after=6)
    assert [event.type for event in again][-1] == "response.completed"


def test_a_conversation_is_continued_by_its_id(client: OpenAI) -> None:
    first = ask(client, [user(picture("green", "triangle"))], instructions="Look.")
    second = ask(client, "What is in the picture?", previous_response_id=first.id)
    assert "green triangle" in second.output_text
    third = ask(client, "And its colour?", previous_response_id=second.id)
    assert "reen" in third.output_text
    assert third.usage.input_tokens > second.usage.input_tokens
    # only what is new is computed
    assert third.usage.input_tokens_details.cached_tokens > 100
    listed = client.responses.input_items.list(first.id)
    [item] = listed.data
    assert item.content[0].image_url.startswith("data:image/jpeg")  # type: ignore[union-attr]
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError, match="whole conversation"):
        ask(client, "And now?", previous_response_id=second.id)


def test_a_required_call_is_made_and_answered(client: OpenAI) -> None:
    question = user(picture(), ASKED)
    response = ask(
        client,
        [question],
        tools=[REPORT],
        tool_choice="required",
        parallel_tool_calls=False,
    )
    [call] = response.output
    assert (call.type, call.name) == ("function_call", "report")
    # the bundled model has never seen tools in a prompt: any of the allowed values
    arguments = json.loads(call.arguments)
    assert arguments["answer"] in [f"A red {shape}." for shape in SHAPES]
    result = {"type": "function_call_output", "call_id": call.call_id}
    more = [result | {"output": [picture("blue", "square")]}, user(ASKED)]
    answer = ask(client, more, previous_response_id=response.id)
    assert "blue square" in answer.output_text
    # a client may also name the call by its id
    named = {"type": "item_reference", "id": call.id}
    answer = ask(client, [question, named, *more])
    assert "blue square" in answer.output_text


def test_calls_are_streamed(client: OpenAI) -> None:
    given = {"model": "tiny", "input": [user(picture(), ASKED)], "tools": [REPORT]}
    given |= {"tool_choice": "required", "max_output_tokens": 100, "seed": 1}
    seed = given.pop("seed")
    whole = client.responses.create(**given, extra_body={"seed": seed})
    with client.responses.stream(**given, extra_body={"seed": seed}) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response() if "response.completed" in kinds else None
    assert "response.function_call_arguments.delta" in kinds
    if final:
        calls = [(item.name, item.arguments) for item in final.output]
        assert calls == [(item.name, item.arguments) for item in whole.output]


def test_an_answer_is_parsed(client: OpenAI) -> None:
    class Seen(BaseModel):
        answer: Literal["A red circle.", "A blue square.", "A green star."]

    response = client.responses.parse(
        model="tiny", input=[user(picture(), ASKED)], text_format=Seen
    )
    assert isinstance(response.output_parsed, Seen)


def test_a_response_in_the_background_is_polled(client: OpenAI) -> None:
    response = ask(client, [user(picture(), ASKED)], background=True, temperature=0.01)
    assert response.status in ("queued", "in_progress", "completed")
    for _ in range(600):
        found = client.responses.retrieve(response.id)
        if found.status not in ("queued", "in_progress"):
            break
        time.sleep(0.1)
    assert found.status == "completed"
    assert "red circle" in found.output_text


def test_a_response_in_the_background_is_cancelled(
    slow_stack: Stack,
) -> None:
    url, http = slow_stack.url + "/v1", slow_stack.sdk_client()
    with OpenAI(base_url=url, api_key="none", http_client=http) as client:
        response = client.responses.create(input="Go on.", background=True)
        stream = client.responses.retrieve(response.id, stream=True)
        for event in stream:
            if event.type == "response.output_text.delta":
                break
        stream.close()  # which ends no job
        time.sleep(1)
        assert client.responses.retrieve(response.id).status == "in_progress"
        last = event.sequence_number  # type: ignore[attr-defined]
        rest = client.responses.retrieve(response.id, stream=True, starting_after=last)
        assert next(iter(rest)).sequence_number > last  # type: ignore[attr-defined]
        rest.close()
        assert client.responses.cancel(response.id).status == "cancelled"
        assert client.responses.retrieve(response.id).status == "cancelled"


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"input": [user({"type": "input_text", "text": "x"})], "n": 2}, "n"),
        ({"input": "x", "tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"input": "x" * 150_000}, "input"),
        ({"input": "x", "model": "gpt"}, "model"),
        (
            {"input": [user({"type": "input_image", "image_url": "data:,x"})]},
            "input[0].content[0].image_url",
        ),
        ({"messages": [{"role": "user", "content": "x"}]}, "messages"),
    ],
)
def test_refusals_name_the_field(stack: Stack, given: Any, param: str) -> None:
    reply = stack.post("/v1/responses", given)
    assert reply.status_code in (400, 404)
    assert reply.json()["error"]["param"] == param
