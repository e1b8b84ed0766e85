"""Ollama's API over the stub."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from ollama import ChatResponse, GenerateResponse, ListResponse, ShowResponse

from edge.errors import EngineError
from edge.events import Event, Failed, Finished, Queued, Token
from edge.request import Answer
from edge.usage import Timings, Usage
from tests.ui.api_harness import ApiHarness
from ui.field_names import FieldNames
from ui.ollama.reply import OllamaReply

HELLO = {"role": "user", "content": "hello"}
CALLS = (
    'I look.<tool_call>\n{"name": "a", "arguments": {"n": 1}}\n</tool_call>'
    '<tool_call>\n{"name": "b", "arguments": {"n": [2, "}"]}}\n</tool_call>'
)


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


async def post(web: ApiHarness, path: str, **body: Any) -> Any:
    body = {"model": "stub", "options": {"num_predict": 30}} | body
    async with web.working():
        return await web.http.post(path, json=body)


@pytest.mark.redis
async def test_a_conversation_is_answered(web: ApiHarness) -> None:
    whole = await post(web, "/api/chat", messages=[HELLO], stream=False)
    answer = ChatResponse.model_validate(whole.json())
    assert (answer.message.content or "").startswith("0 1 2 3")
    assert (answer.model, answer.done_reason, answer.eval_count) == (
        "stub",
        "length",
        30,
    )
    streamed = await post(web, "/api/chat", messages=[HELLO], model="stub:latest")
    assert streamed.headers["content-type"].startswith("application/x-ndjson")
    *chunks, last = map(ChatResponse.model_validate, lines(streamed.text))
    assert "".join(c.message.content or "" for c in chunks) == answer.message.content
    assert not any(chunk.done for chunk in chunks)
    assert (last.done, last.done_reason, last.message.content) == (True, "length", "")
    assert last.model == "stub:latest"


@pytest.mark.redis
async def test_a_prompt_is_answered(web: ApiHarness) -> None:
    whole = await post(web, "/api/generate", prompt="hello", stream=False)
    answer = GenerateResponse.model_validate(whole.json())
    assert (answer.response or "").startswith("0 1 2 3")
    streamed = await post(web, "/api/generate", prompt="hello")
    *chunks, last = map(GenerateResponse.model_validate, lines(streamed.text))
    assert "".join(c.response or "" for c in chunks) == answer.response
    assert last.prompt_eval_count == answer.prompt_eval_count


@pytest.mark.redis
@pytest.mark.parametrize(
    ("path", "given"),
    [("/api/chat", {"messages": []}), ("/api/generate", {"prompt": ""})],
)
async def test_a_model_is_loaded_already(
    web: ApiHarness, path: str, given: dict[str, Any]
) -> None:
    reply = await web.http.post(path, json={"model": "stub"} | given)
    assert (reply.json()["done"], reply.json()["done_reason"]) == (True, "load")
    reply = await web.http.post(path, json={"model": "other"} | given)
    assert (reply.status_code, "not served here" in reply.json()["error"]) == (
        404,
        True,
    )


@pytest.mark.redis
async def test_models_are_listed_and_shown(web: ApiHarness) -> None:
    facts = {"size_bytes": 5, "digest": "d", "modified_s": 86_400.0, "n_cells": 9}
    more = {"n_parameters": 2_127_532_032, "quantization": "Q4_K_M", "thinks": True}
    web.beat("here-1", n_slots=1, **facts, **more)
    for path in ("/api/tags", "/api/ps"):
        found = ListResponse.model_validate((await web.http.get(path)).json())
        [model] = found.models
        assert (model.model, model.size, model.digest) == ("stub:latest", 5, "d")
        assert model.modified_at and model.modified_at.isoformat()[:10] == "1970-01-02"
        details = model.details
        assert details and details.parameter_size == "2.1B"
        assert details.quantization_level == "Q4_K_M"
    reply = await web.http.post("/api/show", json={"model": "stub:latest"})
    shown = ShowResponse.model_validate(reply.json())
    assert shown.capabilities == ["completion", "vision", "tools", "thinking"]
    assert (shown.modelinfo or {})["general.parameter_count"] == 2_127_532_032
    assert "qwen3vl.context_length" in (shown.modelinfo or {})
    assert (await web.http.get("/api/version")).json()["version"]


@pytest.mark.redis
async def test_an_older_worker_says_less_of_its_model(web: ApiHarness) -> None:
    found = ListResponse.model_validate((await web.http.get("/api/tags")).json())
    assert (found.models[0].size, found.models[0].digest) == (0, "")
    reply = await web.http.post("/api/show", json={"model": "stub"})
    shown = ShowResponse.model_validate(reply.json())
    assert shown.capabilities == ["completion", "vision", "tools"]


@pytest.mark.redis
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/pull", 404),
        ("DELETE", "/api/delete", 404),
        ("POST", "/api/embed", 404),
        ("GET", "/api/chat", 405),
        ("POST", "/api/show", 415),
    ],
)
async def test_what_is_not_served_is_said_in_ollamas_shape(
    web: ApiHarness, method: str, path: str, status: int
) -> None:
    reply = await web.http.request(method, path)
    assert reply.status_code == status
    assert list(reply.json()) == ["error"]
    assert isinstance(reply.json()["error"], str)


# --- the reply alone ------------------------------------------------------------------


async def given_events(*events: Event | None) -> AsyncIterator[Event | None]:
    for event in events:
        yield event


async def streamed(*events: Event | None) -> list[Any]:
    reply = OllamaReply("tiny", FieldNames(), is_chat=True, has_tools=True)
    sent = [line async for line in reply.stream(given_events(*events))]
    return lines("".join(sent))


async def test_each_call_is_an_object_of_its_own() -> None:
    times = Timings(embed_ms=1, prefill_ms=2, ttft_ms=4, e2e_ms=10)
    answer = Answer(CALLS, "stop", Usage(70, 20), times)
    reply = OllamaReply("tiny", FieldNames(), is_chat=True, has_tools=True)
    whole = ChatResponse.model_validate(reply.complete(answer))
    assert whole.message.content == "I look."
    calls = [call.function for call in whole.message.tool_calls or []]
    made = [(call.name, call.arguments) for call in calls]
    assert made == [("a", {"n": 1}), ("b", {"n": [2, "}"]})]
    assert (whole.total_duration, whole.eval_duration) == (10_000_000, 6_000_000)
    assert whole.prompt_eval_duration == 3_000_000
    sent = await streamed(*map(Token, CALLS), Finished(answer))
    same = [
        (call["function"]["name"], call["function"]["arguments"])
        for line in sent
        for call in line["message"].get("tool_calls", [])
    ]
    assert same == made
    assert "".join(line["message"]["content"] for line in sent) == "I look."


@pytest.mark.parametrize("is_chat", [True, False])
async def test_thoughts_are_beside_the_text(is_chat: bool) -> None:
    text = "<think>\nHm. A cat?\n</think>\n\nA cat."
    reply = OllamaReply("tiny", FieldNames(), is_chat=is_chat, has_tools=False)
    whole = reply.complete(Answer(text, "stop"))
    said = whole["message"] if is_chat else whole
    assert said["thinking"].strip() == "Hm. A cat?"
    assert said["content" if is_chat else "response"] == "A cat."


async def test_a_quiet_stream_lives_and_a_failure_is_a_line() -> None:
    failed = Failed.because(EngineError("It failed."))
    waiting, quiet, failure = await streamed(Queued(3, 2.0), None, failed)
    assert waiting["progress"] == {"stage": "queue", "position": 3, "starts_in_s": 2.0}
    assert (quiet["message"]["content"], quiet["done"]) == ("", False)
    assert failure == {"error": "It failed."}
