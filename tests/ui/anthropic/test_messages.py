"""POST /v1/messages over the stub, as Anthropic's types read its answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from edge.errors import EngineError
from edge.events import Accepted, Event, Failed, Finished, Queued, Retried, Token
from edge.request import Answer
from edge.usage import Usage
from tests.ui.api_harness import ApiHarness
from ui.anthropic.reply import MessageReply
from ui.field_names import FieldNames
from worker.metrics import Metrics as WorkerMetrics
from worker.preflight import Preflight

EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
HELLO = {"role": "user", "content": "hello"}
NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
BODY = {"max_tokens": 5, "messages": [HELLO]}
TOOLS = {
    "tools": [{"name": "count", "input_schema": NUMBER}],
    "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
}
CALLS = (
    'I look.<tool_call>\n{"name": "a", "arguments": {"n": 1}}\n</tool_call>'
    '<tool_call>\n{"name": "b", "arguments": {"n": [2, "}"]}}\n</tool_call>'
)


def message_of(streamed: str) -> Message:
    """The message that Anthropic's client makes of a stream, each event of which it
    knows; pings and comments aside."""
    message: Message | None = None
    buffers: dict[int, bytes] = {}
    for frame in streamed.split("\n\n"):
        lines = [line for line in frame.split("\n") if line and line[0] != ":"]
        if not lines or lines[0] == "event: ping":
            continue
        kind, data = lines
        event = EVENTS.validate_python(json.loads(data.removeprefix("data: ")))
        assert kind == f"event: {event.type}"
        message = accumulate_event(  # type: ignore[assignment]
            event=event,
            current_snapshot=message,  # type: ignore[arg-type]
            json_bufs=buffers,
        )
    assert message is not None
    return Message.model_validate(message.to_dict())


async def post(web: ApiHarness, *messages: Any, **given: Any) -> Any:
    body = {"max_tokens": 150, "messages": messages or [HELLO]} | given
    headers = body.pop("headers", {})
    async with web.working():
        return await web.http.post("/v1/messages", json=body, headers=headers)


@pytest.mark.redis
async def test_an_answer_is_a_message(web: ApiHarness) -> None:
    reply = await post(web, model="stub:latest")
    message = Message.model_validate(reply.json(), strict=True)
    assert message.content[0].type == "text"
    assert message.content[0].text.startswith("0 1 2 3")
    assert (message.model, message.stop_reason) == ("stub", "max_tokens")
    assert message.id == f"msg_{reply.headers['x-job-id']}"
    assert message.usage.output_tokens == 150
    assert message.usage.input_tokens > 5


@pytest.mark.redis
async def test_a_stream_adds_up_to_the_same_message(web: ApiHarness) -> None:
    whole = Message.model_validate((await post(web)).json())
    for _ in range(2):  # the second is a known answer
        reply = await post(web, stream=True)
        assert reply.headers["content-type"].startswith("text/event-stream")
        streamed = message_of(reply.text)
        assert streamed.content == whole.content
        assert streamed.stop_reason == whole.stop_reason
        assert streamed.usage.output_tokens == whole.usage.output_tokens


@pytest.mark.redis
async def test_a_call_is_a_block(web: ApiHarness) -> None:
    whole = Message.model_validate((await post(web, **TOOLS)).json())
    [call] = whole.content
    assert call.type == "tool_use"
    assert call.name == "count"
    assert isinstance(call.input["n"], int)
    assert whole.stop_reason == "tool_use"
    streamed = message_of((await post(web, stream=True, **TOOLS)).text)
    [same] = streamed.content
    assert same.type == "tool_use"
    assert (same.name, same.input) == (call.name, call.input)
    assert streamed.stop_reason == "tool_use"


@pytest.mark.redis
@pytest.mark.parametrize(
    ("given", "status", "kind"),
    [
        ({"model": "claude"}, 404, "not_found_error"),
        ({"temperature": 9}, 400, "invalid_request_error"),
        ({"messages": [HELLO | {"content": "x" * 100_000}]}, 400, None),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_errors_have_anthropics_shape(
    web: ApiHarness, given: dict[str, Any], status: int, kind: str | None, stream: bool
) -> None:
    reply = await post(web, stream=stream, **given)
    assert reply.status_code == status
    body = reply.json()
    assert body["type"] == "error"
    assert body["error"]["type"] == kind or "invalid_request_error"
    assert body["error"]["message"]


@pytest.mark.redis
@pytest.mark.parametrize("path", ["/v1/messages/batches", "/v1/messages"])
async def test_unknown_paths_have_anthropics_shape(web: ApiHarness, path: str) -> None:
    body = (await web.http.get(path)).json()
    assert body["type"] == "error"
    assert body["error"]["type"] in ("not_found_error", "invalid_request_error")


@pytest.mark.redis
async def test_tokens_are_counted_while_others_are_answered(web: ApiHarness) -> None:
    """By the preflight check alone: the only slot is taken."""
    web.beat("here-1", n_slots=1)
    async with web.working():
        usage = (await web.http.post("/v1/messages", json=BODY)).json()["usage"]
    preflight = Preflight(web.engine, web.jobs, WorkerMetrics(), web.prepared)
    try:
        first = web.asking("another")
        await web.followed()
        reply = await web.http.post("/v1/messages/count_tokens", json=BODY)
        assert reply.json() == {"input_tokens": usage["input_tokens"]}
        assert len(web.waiting) == 1
        first.cancel()
    finally:
        await asyncio.to_thread(preflight.close)


@pytest.mark.redis
async def test_a_claimed_count_is_given_too(
    web: ApiHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web.engine, "submit", None)
    async with web.working(checks=False):
        reply = await web.http.post("/v1/messages/count_tokens", json=BODY)
    assert reply.json()["input_tokens"] > 5


# --- the reply alone ------------------------------------------------------------------


async def given_events(*events: Event | None) -> AsyncIterator[Event | None]:
    for event in events:
        yield event


async def streamed(*events: Event | None) -> str:
    reply = MessageReply("job", "tiny", FieldNames(), has_tools=True)
    return "".join([frame async for frame in reply.stream(given_events(*events))])


async def test_text_and_calls_are_blocks_in_their_order() -> None:
    answer = Answer(CALLS, "stop", Usage(70, 20, 64))
    reply = MessageReply("job", "tiny", FieldNames(), has_tools=True)
    whole = Message.model_validate(reply.complete(answer))
    kinds = [block.type for block in whole.content]
    assert kinds == ["text", "tool_use", "tool_use"]
    assert whole.usage.input_tokens + (whole.usage.cache_read_input_tokens or 0) == 70
    letters = [Token(letter) for letter in CALLS]
    message = message_of(await streamed(Accepted(70), *letters, Finished(answer)))
    assert message.content == whole.content
    assert message.stop_reason == whole.stop_reason == "tool_use"


async def test_thoughts_are_a_block_before_the_text() -> None:
    text = "<think>\nHm. A cat?\n</think>\n\nA cat."
    answer = Answer(text, "stop")
    reply = MessageReply("job", "tiny", FieldNames(), has_tools=False)
    whole = Message.model_validate(reply.complete(answer))
    thoughts, said = whole.content
    assert thoughts.type == "thinking"
    assert thoughts.thinking.strip() == "Hm. A cat?"
    assert said.type == "text"
    assert said.text == "A cat."
    message = message_of(await streamed(*map(Token, text), Finished(answer)))
    assert message.content == whole.content


async def test_a_call_that_was_cut_off_has_not_been_made() -> None:
    reply = MessageReply("job", "tiny", FieldNames(), has_tools=True)
    whole = reply.complete(Answer(CALLS[:-25], "length"))
    assert [block["type"] for block in whole["content"]] == ["text", "tool_use"]
    assert whole["stop_reason"] == "max_tokens"


async def test_nothing_is_said_twice_when_a_worker_is_lost() -> None:
    before, after = [Token(CALLS[:90])], [Token(CALLS[:30]), Token(CALLS[30:])]
    end = Finished(Answer(CALLS, "stop"))
    message = message_of(await streamed(*before, Retried(), *after, end))
    [text, *calls] = message.content
    assert text.type == "text"
    assert text.text == "I look."
    assert [call.input for call in calls if call.type == "tool_use"] == [
        {"n": 1},
        {"n": [2, "}"]},
    ]


async def test_a_quiet_stream_lives_and_a_failure_is_an_event() -> None:
    failed = Failed.because(EngineError("It failed."))
    sent = await streamed(Queued(3), None, failed)
    assert "event: message_start" in sent.split("\n")[0]
    assert ': progress {"stage": "queue"' in sent
    assert 'event: ping\ndata: {"type": "ping"}\n\n' in sent
    *_, kind, data, _, _ = sent.split("\n")
    assert kind == "event: error"
    error = json.loads(data.removeprefix("data: "))
    assert (error["type"], error["error"]["type"]) == ("error", "api_error")
