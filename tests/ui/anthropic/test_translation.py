"""A body of the Messages API becomes the body of a chat completion."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from edge.caller import Caller
from edge.errors import EdgeError, InvalidRequest, UnsupportedParameter
from tests.ui.api_harness import BLACK
from ui.anthropic.body import MessagesBody
from ui.anthropic.translation import chat_body
from ui.body import parse
from ui.field_names import FieldNames
from ui.openai.body import ChatBody
from ui.parsed_question import ParsedQuestion

HELLO = {"role": "user", "content": "Hello"}
DATA = base64.b64encode(BLACK).decode()
URL = f"data:image/png;base64,{DATA}"
SOURCE = {"type": "base64", "media_type": "image/png", "data": DATA}
PICTURE = {"type": "image", "source": SOURCE}
LATIN = {"type": "text", "text": "Quid est?"}
CHAT_PICTURE = {"type": "image_url", "image_url": {"url": URL}}
SCHEMA = {"type": "object", "properties": {"code": {"type": "integer"}}}
TOOL = {"name": "look_up", "description": "Looks.", "input_schema": SCHEMA}
CALL = {"type": "tool_use", "id": "t1", "name": "look_up", "input": {"code": 7}}


def ask(*messages: Any, **given: Any) -> tuple[ChatBody, FieldNames]:
    """A question as it arrives, translated."""
    body = {"max_tokens": 10, "messages": messages or [HELLO]} | given
    names = FieldNames()
    with names.in_errors():
        read = parse(MessagesBody, bytearray(json.dumps(body).encode()))
        read.refuse_unsupported()
        return chat_body(read, names), names


def translated(*messages: Any, **given: Any) -> dict[str, Any]:
    return ask(*messages, **given)[0].model_dump(exclude_unset=True)


def result(content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "t1", "content": content} | more


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": [*blocks]}


def test_a_conversation_is_translated() -> None:
    history = [
        user(LATIN, PICTURE),
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "abc"},
                {"type": "redacted_thinking", "data": "xyz"},
                {"type": "text", "text": "I look."},
                CALL,
            ],
        },
        user(result("seven"), result([LATIN, PICTURE]), LATIN),
    ]
    found = translated(*history, system=[LATIN | {"cache_control": {}}])["messages"]
    system, question, answer, first, second, more = found
    assert system == {"role": "system", "content": [LATIN]}
    assert question == {"role": "user", "content": [LATIN, CHAT_PICTURE]}
    assert answer["content"] == "I look."
    [call] = answer["tool_calls"]
    assert (call["id"], call["function"]["name"]) == ("t1", "look_up")
    assert json.loads(call["function"]["arguments"]) == {"code": 7}
    assert first == {"role": "tool", "content": "seven", "tool_call_id": "t1"}
    assert second["content"] == [LATIN, CHAT_PICTURE]
    assert more == {"role": "user", "content": [LATIN]}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("boom", "Error: boom"),
        ([LATIN], [{"type": "text", "text": "Error: "}, LATIN]),
        ([], "Error: "),
    ],
)
def test_a_failed_call_is_told_to_the_model(content: Any, expected: Any) -> None:
    [_, found] = translated(HELLO, user(result(content, is_error=True)))["messages"]
    assert found["content"] == expected


def test_sampling_and_tools_are_translated() -> None:
    found = translated(
        model="tiny",
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop_sequences=["END"],
        tools=[TOOL],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        metadata={"user_id": "ann"},
        service_tier="auto",
        thinking={"type": "disabled"},
    )
    assert (found["model"], found["max_tokens"], found["top_k"]) == ("tiny", 10, 40)
    assert (found["temperature"], found["top_p"]) == (0.5, 0.9)
    assert found["stop"] == ["END"]
    function = {"name": "look_up", "description": "Looks.", "parameters": SCHEMA}
    assert found["tools"] == [{"type": "function", "function": function}]
    assert (found["tool_choice"], found["parallel_tool_calls"]) == ("required", False)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "none"}, "none"),
        (
            {"type": "tool", "name": "look_up"},
            {"type": "function", "function": {"name": "look_up"}},
        ),
    ],
)
def test_a_choice_of_tools_is_translated(choice: Any, expected: Any) -> None:
    found = translated(tools=[TOOL], tool_choice=choice)
    assert found["tool_choice"] == expected


def test_a_begun_answer_goes_on() -> None:
    assert translated(HELLO, {"role": "assistant", "content": "A red"})[
        "continue_final_message"
    ]
    assert not translated()["continue_final_message"]


@pytest.mark.parametrize(
    ("thinking", "thinks", "budget"),
    [
        (None, False, None),
        ({"type": "disabled"}, False, None),
        ({"type": "adaptive"}, True, None),
        ({"type": "enabled", "budget_tokens": 1024}, True, 1024),
    ],
)
def test_a_model_thinks_where_it_is_asked_to(
    thinking: Any, thinks: bool, budget: int | None
) -> None:
    body, _ = ask(thinking=thinking)
    assert (body.thinks, body.thinking_budget) == (thinks, budget)


@pytest.mark.parametrize("field", ["output_config", "output_format"])
def test_an_answer_may_have_a_schema(field: str) -> None:
    form: Any = {"type": "json_schema", "schema": SCHEMA}
    given = {"format": form, "effort": "low"} if field == "output_config" else form
    found = translated(**{field: given})["response_format"]
    assert found["json_schema"]["schema_"] == SCHEMA


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url", "image_url": {"url": URL}},
        {"type": "image_url", "image_url": URL},
        {"type": "input_image", "image_url": URL},
        {"type": "image", "source": {"type": "url", "url": URL}},
    ],
)
def test_pictures_of_other_apis_are_understood(block: dict[str, Any]) -> None:
    [found] = translated(user(block))["messages"]
    assert found["content"] == [CHAT_PICTURE]


REFUSED = {
    "pictures beside the content": (
        {"messages": [HELLO | {"images": [DATA]}]},
        "messages[0].images",
    ),
    "pictures beside the messages": ({"images": [DATA]}, "images"),
    "another API's stop": ({"stop": ["END"]}, "stop"),
    "MCP servers": ({"mcp_servers": [{"url": "x"}]}, "mcp_servers"),
    "a wrong budget": (
        {"thinking": {"type": "enabled", "budget_tokens": 0}},
        "thinking.budget_tokens",
    ),
    "no messages": ({"messages": []}, "messages"),
    "a tool of Anthropic's": (
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        "tools[0].type",
    ),
    "a document elsewhere": (
        {"messages": [user({"type": "document", "source": {"type": "url"}})]},
        "messages[0].content[0].source.type",
    ),
    "a file": (
        {"messages": [user({"type": "image", "source": {"type": "file"}})]},
        "messages[0].content[0].source.type",
    ),
    "another role": ({"messages": [{"role": "tool"}]}, "messages[0].role"),
    "a wrong temperature": ({"temperature": 3}, "temperature"),
    "no answer": ({"max_tokens": 0}, "max_tokens"),
    "a long call": (
        {
            "messages": [
                HELLO,
                {
                    "role": "assistant",
                    "content": [
                        CALL | {"input": {"a": "x" * 150_000, "b": "x" * 99_999}}
                    ],
                },
            ]
        },
        "messages[1].content[0].input",
    ),
}


@pytest.mark.parametrize(("given", "param"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_done_is_refused_by_its_field(
    given: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        ask(**given)
    assert refusal.value.param == param


def test_a_refused_picture_says_where_pictures_belong() -> None:
    with pytest.raises(UnsupportedParameter, match='"type": "image", "source"'):
        ask(HELLO | {"images": [DATA]})


NAMED = {
    "a picture that is none": (
        [user(LATIN, {"type": "image", "source": SOURCE | {"data": "?"}})],
        {},
        "messages[0].content[1].source",
    ),
    "behind a system message": (
        [user(result([{"type": "image", "source": {"type": "url", "url": "x"}}]))],
        {"system": "Be brief."},
        "messages[0].content[0].content[0].source",
    ),
    "in a text": (
        [HELLO, user(result("two"), {"type": "text", "text": "![](data:image/png,x)"})],
        {},
        "messages[1].content[1]",
    ),
    "a schema": (
        [HELLO],
        {"tools": [TOOL | {"strict": True, "input_schema": {"not": {}}}]},
        "tools[0].input_schema.not",
    ),
    "a form": (
        [HELLO],
        {"output_config": {"format": {"type": "json_schema", "schema": {"not": {}}}}},
        "output_config.format.schema.not",
    ),
    "an unknown tool": (
        [HELLO],
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "other"}},
        "tool_choice",
    ),
}


@pytest.mark.parametrize(("messages", "given", "param"), NAMED.values(), ids=NAMED)
def test_errors_name_the_fields_of_this_api(
    messages: list[Any], given: dict[str, Any], param: str
) -> None:
    body, names = ask(*messages, **given)
    with pytest.raises(EdgeError) as refusal, names.in_errors():
        ParsedQuestion(body, 10, Caller("t", "me", "here", "me"))
    assert refusal.value.param == param
    assert "function.parameters" not in refusal.value.message
    assert "response_format" not in refusal.value.message


def test_a_large_picture_is_read() -> None:
    large = base64.b64encode(BLACK + bytes(400_000)).decode()
    block = {"type": "image", "source": SOURCE | {"data": large}}
    [found] = translated(user(block))["messages"]
    assert found["content"][0]["image_url"]["url"].endswith(large)
