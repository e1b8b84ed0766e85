"""What the fields of a body mean, and which are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge.errors import EdgeError
from edge.request import PictureRef, Request
from tests.jobs.jobs_harness import caller
from tests.ui.pictures import part, png
from ui.openai.body import ChatBody
from ui.parsed_question import ParsedQuestion
from ui.responses.body import REFUSED
from ui.responses.draft import ResponseDraft

URL = part(png())["image_url"]["url"]
PICTURE = {"type": "input_image", "image_url": URL}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
FIELDS = {"name": "f", "description": "F.", "parameters": SCHEMA, "strict": True}
FUNCTION = {"type": "function"} | FIELDS
CHAT_FUNCTION = {"type": "function", "function": FIELDS}
LOGPROBS = ["message.output_text.logprobs"]
HELLO = [{"role": "user", "content": "hello"}]
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a": 1}'}
CHAT_CALL = {"id": "c", "function": {"name": "f", "arguments": '{"a": 1}'}}


def request_of(question: ParsedQuestion) -> Request:
    refs = [PictureRef(p.digest.hex() + p.detail, 1, 1) for p in question.pictures]
    return question.request(refs)


def parsed(given: Any = "hello", **more: Any) -> ParsedQuestion:
    draft = ResponseDraft(None)  # type: ignore[arg-type]  # nothing is recalled
    with draft.in_errors():
        draft.read(bytearray(json.dumps({"input": given} | more).encode()))
        assert draft.is_whole
        chat = draft.body()
        chat.refuse_unsupported()
        return ParsedQuestion(chat, chat.longest_answer or 100, caller("me"))


def items(*given: Any) -> dict[str, Any]:
    return {"input": list(given)}


def messages(*given: Any) -> dict[str, Any]:
    return {"messages": list(given)}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


TEXT = {"type": "text", "text": "What?"}
SAME = {
    "a text": ({"input": "hello"}, {}),
    "instructions": (
        {"instructions": "Be brief."},
        messages({"role": "system", "content": "Be brief."}, *HELLO),
    ),
    "roles": (
        items(
            {"role": "developer", "content": "Be brief."},
            {"type": "message", "role": "user", "content": "a"},
            {
                "type": "message",
                "id": "msg_1",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "b", "annotations": []}],
            },
            {"role": "user", "content": [{"type": "input_text", "text": "c"}]},
        ),
        messages(
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c"},
        ),
    ),
    "log probabilities": (
        {"input": "hello", "include": LOGPROBS, "top_logprobs": 3},
        messages({"role": "user", "content": "hello"})
        | {"logprobs": True, "top_logprobs": 3},
    ),
    "a picture": (
        items(user(PICTURE, {"type": "input_text", "text": "What?"})),
        messages(user({"type": "image_url", "image_url": URL}, TEXT)),
    ),
    "its detail": (
        items(user(PICTURE | {"detail": "original"})),
        messages(
            user({"type": "image_url", "image_url": {"url": URL, "detail": "high"}})
        ),
    ),
    "parts as in chat": (
        items(user({"type": "image_url", "image_url": {"url": URL}}, TEXT, "more")),
        messages(user({"type": "image_url", "image_url": URL}, TEXT, "more")),
    ),
    "a picture in the text": (
        {"input": f"![a]({URL}) What?"},
        messages({"role": "user", "content": f"![a]({URL}) What?"}),
    ),
    "calls and their results": (
        items(
            *HELLO,
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"role": "assistant", "content": "I look."},
            CALL,
            CALL | {"name": "g"},
            {"type": "function_call_output", "call_id": "c", "output": "1"},
            {"type": "function_call_output", "call_id": "c", "output": [PICTURE]},
        )
        | {"tools": [FUNCTION]},
        messages(
            *HELLO,
            {
                "role": "assistant",
                "content": "I look.",
                "tool_calls": [
                    CHAT_CALL,
                    {"id": "c", "function": CHAT_CALL["function"] | {"name": "g"}},
                ],
            },
            {"role": "tool", "tool_call_id": "c", "content": "1"},
            {
                "role": "tool",
                "tool_call_id": "c",
                "content": [{"type": "image_url", "image_url": URL}],
            },
        )
        | {"tools": [CHAT_FUNCTION]},
    ),
    "a call alone": (
        items(*HELLO, CALL),
        messages(*HELLO, {"role": "assistant", "tool_calls": [CHAT_CALL]}),
    ),
    "a required call": (
        {"tools": [FUNCTION], "tool_choice": "required", "parallel_tool_calls": False},
        {
            "tools": [CHAT_FUNCTION],
            "tool_choice": "required",
            "parallel_tool_calls": False,
        },
    ),
    "a named function": (
        {"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "f"}},
        {
            "tools": [CHAT_FUNCTION],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
        },
    ),
    "allowed tools": (
        {
            "tools": [FUNCTION],
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "f"}],
            },
        },
        {"tools": [CHAT_FUNCTION], "tool_choice": "required"},
    ),
    "a schema": (
        {"text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "a", "schema": SCHEMA},
            }
        },
    ),
    "any object": (
        {"text": {"format": {"type": "json_object"}, "verbosity": "medium"}},
        {"response_format": {"type": "json_object"}},
    ),
    "sampling": (
        {
            "max_output_tokens": 7,
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 5,
            "seed": 1,
            "stop": ["x"],
            "truncation": "auto",
        },
        {
            "max_tokens": 7,
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 5,
            "seed": 1,
            "stop": ["x"],
            "truncate": "auto",
        },
    ),
    "what changes nothing": (
        {
            "include": ["reasoning.encrypted_content"],
            "max_tool_calls": 3,
            "metadata": {"a": "b"},
            "prompt_cache_key": "a",
            "reasoning": {"summary": "auto"},
            "safety_identifier": "me",
            "service_tier": "auto",
            "stream_options": {"include_obfuscation": False},
            "top_logprobs": 0,
            "user": "me",
            "instructions": None,
            "tools": [],
        },
        {},
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_it_is_the_same_question_as_in_chat(name: str) -> None:
    given, same = SAME[name]
    chat = ChatBody.model_validate({"messages": HELLO} | same)
    meant = ParsedQuestion(chat, chat.longest_answer or 100, caller("me"))
    assert request_of(parsed(**{"given": "hello"} | _renamed(given))) == request_of(
        meant
    )


def _renamed(given: dict[str, Any]) -> dict[str, Any]:
    return {"given" if name == "input" else name: v for name, v in given.items()}


@pytest.mark.parametrize(
    ("given", "param"),
    [
        *(({name: "x"}, name) for name in REFUSED),
        ({"images": ["x"]}, "images"),
        ({"best_of": 3}, "best_of"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"include": LOGPROBS, "top_logprobs": 21}, "top_logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"background": True, "store": False}, "store"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [FUNCTION, FUNCTION]}, "tools"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        (
            {"tools": [FUNCTION | {"parameters": {"type": "object", "not": {}}}]},
            "tools[0].parameters.not",
        ),
        (
            {
                "text": {
                    "format": {
                        "type": "json_schema",
                        "name": "a",
                        "schema": {"not": {}},
                    }
                }
            },
            "text.format.schema.not",
        ),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"given": []}, "input"),
        ({"given": [{"type": "reasoning"}]}, "input"),
        ({"given": [{"type": "computer_call"}]}, "input[0].type"),
        ({"given": [HELLO[0] | {"images": ["x"]}]}, "input[0].images"),
        (
            {"given": [user({"type": "input_text", "text": "a", "image": "x"})]},
            "input[0].content[0].image",
        ),
        ({"given": [user({"type": "input_audio"})]}, "input"),
        (
            {"given": [user({"type": "input_image", "file_id": "file_1"})]},
            "input[0].content[0].file_id",
        ),
        (
            {
                "given": [
                    *HELLO,
                    user({"type": "input_image", "image_url": "https://a"}),
                ]
            },
            "input[1].content[0].image_url",
        ),
        (
            {"given": [*HELLO, user(PICTURE | {"detail": "huge"})]},
            "input[1].content[0].detail",
        ),
        (
            {"given": [{"role": "system", "content": [PICTURE]}, *HELLO]},
            "input[0].content[0].type",
        ),
        (
            {
                "given": [
                    *HELLO,
                    {
                        "type": "function_call_output",
                        "call_id": "c",
                        "output": "x" * 300_000,
                    },
                ],
                "instructions": "a",
            },
            "input[1].output",
        ),
    ],
)
def test_it_is_refused_by_its_own_name(given: dict[str, Any], param: str) -> None:
    with pytest.raises(EdgeError) as refused:
        parsed(**{"given": "hello"} | given)
    assert refused.value.param == param
    assert refused.value.status in (400, 413)
