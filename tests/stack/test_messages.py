"""The Messages API, asked with Anthropic's client."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, Literal

import anthropic
import pytest
from anthropic import Anthropic
from pydantic import BaseModel

from tests.conftest import wait_for
from tests.stack.conftest import Stack, drawing

pytestmark = [pytest.mark.stack, pytest.mark.nginx, pytest.mark.model]

REPORT: Any = {
    "name": "report",
    "description": "Reports the shape in a picture.",
    "strict": True,
    "input_schema": {
        "type": "object",
        "properties": {"answer": {"enum": ["A red circle.", "A blue square."]}},
        "required": ["answer"],
        "additionalProperties": False,
    },
}
MUST_REPORT: Any = {
    "tools": [REPORT],
    "tool_choice": {
        "type": "tool",
        "name": "report",
        "disable_parallel_tool_use": True,
    },
}


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[Anthropic]:
    url, http = stack.url, stack.sdk_client()
    with Anthropic(
        base_url=url, api_key="none", max_retries=0, http_client=http
    ) as client:
        yield client


@pytest.fixture(scope="module")
def picture() -> dict[str, Any]:
    data = base64.b64encode(drawing("red")).decode()
    source = {"type": "base64", "media_type": "image/jpeg", "data": data}
    return {"type": "image", "source": source}


@pytest.fixture(scope="module")
def messages(picture: dict[str, Any]) -> Any:
    question = {"type": "text", "text": "What is in this picture?"}
    question |= {"cache_control": {"type": "ephemeral"}}
    return [{"role": "user", "content": [picture, question]}]


def ask(client: Anthropic, messages: Any, **given: Any) -> anthropic.types.Message:
    return client.messages.create(
        **{"model": "tiny", "max_tokens": 100, "messages": messages} | given
    )


def text_of(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_a_picture_is_seen(client: Anthropic, messages: Any) -> None:
    answer = ask(client, messages, model="tiny:latest", metadata={"user_id": "ann"})
    assert "red circle" in text_of(answer)
    assert (answer.model, answer.stop_reason) == ("tiny", "end_turn")
    assert answer.usage.output_tokens > 2


def test_a_stream_is_read_by_the_client(client: Anthropic, messages: Any) -> None:
    with client.messages.stream(
        model="tiny", max_tokens=100, messages=messages, system="Answer briefly."
    ) as stream:
        kinds = [event.type for event in stream]
        answer = stream.get_final_message()
    assert "red circle" in text_of(answer)
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    assert {"content_block_start", "content_block_stop", "message_delta"} < {*kinds}
    assert answer.usage.input_tokens > 50
    assert answer.stop_reason == "end_turn"


def test_a_call_is_made_and_streamed(client: Anthropic, messages: Any) -> None:
    answer = ask(client, messages, **MUST_REPORT)
    [call] = answer.content
    assert call.type == "tool_use"
    assert (call.name, answer.stop_reason) == ("report", "tool_use")
    # the bundled model has never seen tools in a prompt: any of the allowed values
    assert call.input["answer"] in ("A red circle.", "A blue square.")
    with client.messages.stream(
        model="tiny", max_tokens=100, messages=messages, **MUST_REPORT
    ) as stream:
        [same] = stream.get_final_message().content
    assert same.type == "tool_use"
    assert same.input == call.input


def test_what_a_call_gave_is_looked_at(client: Anthropic, picture: Any) -> None:
    used = {"type": "tool_use", "id": "t1", "name": "camera", "input": {}}
    thought = {"type": "thinking", "thinking": "Look first.", "signature": "x"}
    gave = {"type": "tool_result", "tool_use_id": "t1", "content": [picture]}
    question = {"type": "text", "text": "What is in this picture?"}
    history: Any = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": [thought, used]},
        {"role": "user", "content": [gave, question]},
    ]
    assert "circle" in text_of(ask(client, history))


def test_an_answer_goes_on_from_its_beginning(client: Anthropic, messages: Any) -> None:
    begun = {"role": "assistant", "content": "A red"}
    assert text_of(ask(client, [*messages, begun])) == " circle."


def test_an_answer_fits_a_class(client: Anthropic, messages: Any) -> None:
    class Report(BaseModel):
        answer: Literal["A red circle.", "A blue square."]

    answer = client.messages.parse(
        model="tiny", max_tokens=200, messages=messages, output_format=Report
    )
    assert isinstance(answer.parsed_output, Report)


def test_tokens_are_counted_before_a_question(client: Anthropic, messages: Any) -> None:
    for given in ({}, {"system": "Be brief."}, {"tools": [REPORT]}):
        count = client.messages.count_tokens(model="tiny", messages=messages, **given)
        usage = ask(client, messages, **given).usage
        cached = usage.cache_read_input_tokens or 0
        assert count.input_tokens == usage.input_tokens + cached


def test_a_stop_sequence_is_named(client: Anthropic, messages: Any) -> None:
    answer = ask(client, messages, stop_sequences=["square", " circle"])
    assert text_of(answer).endswith(" a red")
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", " circle")


def test_models_are_listed(client: Anthropic) -> None:
    # no model while a starved worker is away for a moment
    wait_for(lambda: [model.id for model in client.models.list()] == ["tiny"])
    assert client.models.retrieve("tiny").id == "tiny"


def test_errors_are_those_of_the_client(client: Anthropic, messages: Any) -> None:
    with pytest.raises(anthropic.NotFoundError, match="Served: tiny"):
        ask(client, messages, model="claude-opus-4")
    with pytest.raises(anthropic.BadRequestError, match="stop_sequences"):
        ask(client, messages, extra_body={"stop": ["x"]})
