"""Thoughts, in each API: who may ask for them, and what is counted of them."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from edge.events import Finished
from edge.request import Answer
from edge.usage import Usage
from tests.ui.api_harness import ApiHarness
from ui.anthropic.reply import MessageReply
from ui.field_names import FieldNames
from ui.ollama.reply import OllamaReply
from ui.responses.reply import Response
from ui.sse import Reply

HELLO = [{"role": "user", "content": "hello"}]
CHAT = ("/v1/chat/completions", {"messages": HELLO, "max_tokens": 5})
RESPONSES = ("/v1/responses", {"input": "hello", "max_output_tokens": 5})
MESSAGES = ("/v1/messages", {"messages": HELLO, "max_tokens": 5})
OLLAMA = (
    "/api/chat",
    {"messages": HELLO, "stream": False, "options": {"num_predict": 5}},
)
GENERATE = ("/api/generate", {"prompt": "hello", "stream": False, "think": True})
ENABLED = {"type": "enabled", "budget_tokens": 1024}


async def post(web: ApiHarness, call: tuple[str, Any], **given: Any) -> httpx.Response:
    path, body = call
    return await web.http.post(path, json={"model": "stub"} | body | given)


@pytest.mark.redis
@pytest.mark.parametrize(
    ("call", "given", "field"),
    [
        (CHAT, {"reasoning_effort": "low"}, "reasoning_effort"),
        (CHAT, {"enable_thinking": True}, "enable_thinking"),
        (CHAT, {"thinking_budget": 5}, "thinking_budget"),
        (
            CHAT,
            {"chat_template_kwargs": {"thinking_budget": 1}},
            "chat_template_kwargs.thinking_budget",
        ),
        (
            CHAT,
            {"chat_template_kwargs": {"enable_thinking": True}},
            "chat_template_kwargs.enable_thinking",
        ),
        (RESPONSES, {"reasoning": {"effort": "high"}}, "reasoning.effort"),
        (MESSAGES, {"thinking": ENABLED}, "thinking.type"),
        (OLLAMA, {"think": True}, "think"),
        (OLLAMA, {"think": "high"}, "think"),
        (GENERATE, {}, "think"),
    ],
)
async def test_a_model_that_does_not_think_is_not_asked_to(
    web: ApiHarness, call: tuple[str, Any], given: dict[str, Any], field: str
) -> None:
    web.beat("here-1", n_slots=1, thinks=False)
    reply = await post(web, call, **given)
    said = json.dumps(reply.json())
    assert reply.status_code == 400, said
    assert f"{field} asks the model to think, and stub does not." in said
    web.beat("here-1", n_slots=1, thinks=True)
    async with web.working():
        assert (await post(web, call, **given)).status_code == 200


@pytest.mark.redis
@pytest.mark.parametrize(
    ("call", "given"),
    [
        (CHAT, {"reasoning_effort": "none", "enable_thinking": False}),
        (CHAT, {"chat_template_kwargs": {"enable_thinking": False}}),
        (RESPONSES, {"reasoning": {"summary": "auto"}}),
        (MESSAGES, {"thinking": {"type": "adaptive"}}),
        (MESSAGES, {"thinking": {"type": "disabled"}}),
        (OLLAMA, {"think": False}),
    ],
)
async def test_what_asks_for_no_thoughts_is_answered(
    web: ApiHarness, call: tuple[str, Any], given: dict[str, Any]
) -> None:
    web.beat("here-1", n_slots=1, thinks=False)
    async with web.working():
        assert (await post(web, call, **given)).status_code == 200


@pytest.mark.redis
async def test_a_model_says_whether_it_thinks(web: ApiHarness) -> None:
    web.beat("here-1", n_slots=1, thinks=False)
    assert (await web.http.get("/v1/models/stub")).json()["thinks"] is False


ANSWER = Answer("<think>\nA.\n</think>\n\nB.", "stop", Usage(7, 5, 0, 3), n_first=1)


def test_reasoning_tokens_are_counted_and_first_frames_said() -> None:
    chat = Reply("j", 1.0, "m").complete([ANSWER])
    assert chat["usage"]["completion_tokens_details"] == {"reasoning_tokens": 3}
    two = Reply("j", 1.0, "m", n=2).complete([ANSWER, ANSWER])
    assert two["usage"]["completion_tokens_details"] == {"reasoning_tokens": 6}
    response = Response("j", 1.0, "m", False, {}).body(Finished(ANSWER))
    assert response["usage"]["output_tokens_details"] == {"reasoning_tokens": 3}
    names = FieldNames()
    message = MessageReply("j", "m", names, has_tools=False).complete(ANSWER)
    assert message["usage"]["output_tokens_details"] == {"thinking_tokens": 3}
    ollama = OllamaReply("m", names, is_chat=True, has_tools=False).complete(ANSWER)
    for body in (chat, response, message, ollama):
        assert body["first_only_pictures"] == 1
