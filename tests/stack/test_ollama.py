"""Ollama's API, asked with Ollama's client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ollama
import pytest
from ollama import Client
from pydantic import BaseModel

from tests.conftest import wait_for
from tests.stack.conftest import ASK_S, Patient, Stack, drawing

pytestmark = [pytest.mark.stack, pytest.mark.nginx, pytest.mark.model]

QUESTION = "What is in this picture?"
REPORT: Any = {
    "type": "function",
    "function": {"name": "report", "parameters": {"type": "object", "properties": {}}},
}


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[Client]:
    with Client(host=stack.url, transport=Patient(), timeout=ASK_S) as client:
        yield client


@pytest.fixture(scope="module")
def messages() -> Any:
    return [{"role": "user", "content": QUESTION, "images": [drawing("red")]}]


def test_a_picture_is_seen(client: Client, messages: Any) -> None:
    answer = client.chat("tiny", messages, keep_alive="5m", options={"num_ctx": 4096})
    assert "red circle" in (answer.message.content or "")
    assert (answer.model, answer.done, answer.done_reason) == ("tiny", True, "stop")
    assert (answer.prompt_eval_count or 0) > 50
    assert (answer.total_duration or 0) >= (answer.eval_duration or 0) > 0


def test_a_stream_is_read_by_the_client(client: Client, messages: Any) -> None:
    chunks = list(client.chat("tiny:latest", messages, stream=True))
    text = "".join(chunk.message.content or "" for chunk in chunks)
    assert "red circle" in text
    assert [chunk.done for chunk in chunks[-2:]] == [False, True]


def test_a_prompt_is_answered(client: Client) -> None:
    picture = drawing("red")
    answer = client.generate("tiny", QUESTION, images=[picture], think=False)
    assert "red circle" in (answer.response or "")
    chunks = client.generate("tiny", QUESTION, images=[picture], stream=True)
    assert "".join(chunk.response or "" for chunk in chunks) == answer.response


def test_an_answer_fits_a_schema(client: Client, messages: Any) -> None:
    class Report(BaseModel):
        is_round: bool

    schema = Report.model_json_schema()
    answer = client.chat("tiny", messages, format=schema)
    assert Report.model_validate_json(answer.message.content or "")
    schema = {"enum": ["A red circle.", "A blue square."]}
    answer = client.chat("tiny", messages, format=schema)
    assert answer.message.content == '"A red circle."'


def test_options_are_obeyed(client: Client, messages: Any) -> None:
    answer = client.chat("tiny", messages, options={"num_predict": 2})
    assert (answer.done_reason, answer.eval_count) == ("length", 2)
    answer = client.chat("tiny", messages, options={"stop": [" circle"]})
    assert (answer.message.content or "").endswith("red")


def test_tools_are_offered_and_their_results_read(
    client: Client, messages: Any
) -> None:
    answer = client.chat("tiny", messages, tools=[REPORT])  # it may call or answer
    assert answer.message.content or answer.message.tool_calls
    call = {"function": {"name": "camera", "arguments": {"n": 1}}}
    history: Any = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_name": "camera", "images": [drawing("red")]},
        {"role": "user", "content": QUESTION},
    ]
    assert "circle" in (client.chat("tiny", history).message.content or "")


def test_models_are_listed_and_shown(client: Client) -> None:
    # none while a starved worker is away for a moment
    wait_for(lambda: [one.model for one in client.list().models] == ["tiny:latest"])
    wait_for(lambda: [one.model for one in client.ps().models] == ["tiny:latest"])
    shown = client.show("tiny")
    assert "vision" in (shown.capabilities or [])
    assert (shown.modelinfo or {})["qwen3vl.context_length"] > 1000


def test_the_page_stays_where_ollama_looks_for_life(stack: Stack) -> None:
    with stack.client() as http:
        assert http.head("/").status_code == 200
        assert "<html" in http.get("/", headers={"accept": "*/*"}).text


def test_errors_are_those_of_the_client(client: Client, messages: Any) -> None:
    with pytest.raises(ollama.ResponseError, match="Served: tiny") as refusal:
        client.chat("llama3", messages)
    assert refusal.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match=r"options\.temperature"):
        client.chat("tiny", messages, options={"temperature": 9})
    for call in (
        lambda: client.pull("tiny"),
        lambda: client.delete("tiny"),
        lambda: client.embed("tiny", "x"),
    ):
        with pytest.raises(ollama.ResponseError, match="`edge models`") as refusal:
            call()
        assert refusal.value.status_code == 404
