"""A body of Ollama's API becomes the body of a chat completion."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from edge.caller import Caller
from edge.errors import EdgeError, InvalidRequest, UnsupportedParameter
from tests.ui.api_harness import BLACK
from ui.body import parse
from ui.field_names import FieldNames
from ui.ollama.body import OllamaChat, OllamaPrompt
from ui.ollama.translation import NothingAsked, chat_of
from ui.openai.body import ChatBody
from ui.parsed_question import ParsedQuestion

HELLO = {"role": "user", "content": "Hello"}
DATA = base64.b64encode(BLACK).decode()
CHAT_PICTURE = {"type": "image_url", "image_url": {"url": f"data:;base64,{DATA}"}}
SCHEMA = {"type": "object", "properties": {"code": {"type": "integer"}}}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": SCHEMA}}


def ask(*messages: Any, **given: Any) -> tuple[ChatBody, FieldNames]:
    """A question as it arrives, translated: a prompt, or else a conversation."""
    kind = OllamaPrompt if {"prompt", "context"} & given.keys() else OllamaChat
    if kind is OllamaChat:
        given = {"messages": messages or [HELLO]} | given
    names = FieldNames()
    with names.in_errors():
        body = parse(kind, bytearray(json.dumps(given).encode()))
        return chat_of(body, names), names


def translated(*messages: Any, **given: Any) -> dict[str, Any]:
    return ask(*messages, **given)[0].model_dump(exclude_unset=True)


def test_a_conversation_is_translated() -> None:
    call = {"function": {"name": "look_up", "arguments": {"code": 7}}}
    found = translated(
        {"role": "system", "content": "Be brief."},
        HELLO | {"images": [DATA, f"data:image/png;base64,{DATA}"]},
        {"role": "assistant", "content": "", "thinking": "Hm.", "tool_calls": [call]},
        {"role": "tool", "tool_name": "look_up", "content": "seven"},
        {"role": "tool", "content": "", "images": [DATA]},
        model="tiny:latest",
        tools=[TOOL, {"function": {"name": "other"}}],
        keep_alive="5m",
        think=False,
    )
    system, question, answer, first, second = found["messages"]
    assert system["content"] == "Be brief."
    *pictures, text = question["content"]
    assert (pictures[0], text["text"]) == (CHAT_PICTURE, "Hello")
    assert pictures[1]["image_url"]["url"] == f"data:image/png;base64,{DATA}"
    [called] = answer["tool_calls"]
    assert json.loads(called["function"]["arguments"]) == {"code": 7}
    assert first == {"role": "tool", "content": "seven"}
    assert second == {"role": "tool", "content": [CHAT_PICTURE]}
    assert found["tools"][0]["function"]["parameters"] == SCHEMA
    assert found["stream"]


def test_a_prompt_is_translated() -> None:
    found = translated(prompt="Hello", system="Be brief.", images=[DATA], stream=False)
    system, question = found["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    assert question["content"] == [CHAT_PICTURE, {"type": "text", "text": "Hello"}]
    assert not found["stream"]


def test_options_are_translated() -> None:
    found = translated(
        options={
            "num_predict": 20,
            "temperature": 0.5,
            "top_k": 40,
            "top_p": 0.9,
            "min_p": 0.1,
            "seed": 7,
            "stop": ["END"],
            "repeat_penalty": 1,
            "repeat_last_n": 64,
            "num_ctx": 8192,
            "mirostat": 0,
            "typical_p": 1.0,
            "num_gpu": None,
        }
    )
    assert (found["max_tokens"], found["top_k"], found["seed"]) == (20, 40, 7)
    assert (found["temperature"], found["top_p"], found["min_p"]) == (0.5, 0.9, 0.1)
    assert found["stop"] == ["END"]
    assert "max_tokens" not in translated(options={"num_predict": -1})


def test_unknown_options_do_not_become_fields_of_a_chat_body() -> None:
    plain = translated()
    others = {"n": 4, "task": "read", "per_page": True, "logprobs": True}
    assert translated(options=others) == plain


def test_a_model_thinks_unless_it_is_told_not_to() -> None:
    for think, thinks in ((None, True), (True, True), ("high", True), (False, False)):
        assert ask(think=think)[0].thinks == thinks


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("json", {"type": "json_object"}),
        (
            SCHEMA,
            {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema_": SCHEMA},
            },
        ),
    ],
)
def test_an_answer_may_have_a_form(form: Any, expected: Any) -> None:
    assert translated(format=form)["response_format"] == expected
    assert "response_format" not in translated(format="")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a template": ({"prompt": "a", "template": "{{ .Prompt }}"}, "template"),
    "a raw prompt": ({"prompt": "a", "raw": True}, "raw"),
    "a context": ({"prompt": "a", "context": [1, 2]}, "context"),
    "a suffix": ({"prompt": "a", "suffix": "b"}, "suffix"),
    "tools of a prompt": ({"prompt": "a", "tools": [TOOL]}, "tools"),
    "a way to think": ({"think": "hard"}, "think"),
    "mirostat": ({"options": {"mirostat": 2}}, "options.mirostat"),
    "another window": (
        {"options": {"repeat_last_n": 9, "repeat_penalty": 1.1}},
        "options.repeat_last_n",
    ),
    "an option outside": ({"temperature": 1}, "temperature"),
    "logprobs": ({"logprobs": True}, "logprobs"),
    "a wrong temperature": ({"options": {"temperature": 3}}, "options.temperature"),
    "no tokens": ({"options": {"num_predict": 0}}, "options.num_predict"),
    "OpenAI's parts": (
        {"messages": [{"role": "user", "content": [CHAT_PICTURE]}]},
        "messages[0].content",
    ),
    "pictures of the assistant": (
        {"messages": [{"role": "assistant", "images": [DATA]}]},
        "messages[0].images",
    ),
    "pictures outside": ({"images": [DATA]}, "images"),
    "another form": ({"format": "xml"}, "format"),
}


@pytest.mark.parametrize(("given", "param"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_done_is_refused_by_its_field(
    given: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        ask(**given)
    assert refusal.value.param == param
    assert param in refusal.value.message


def test_a_refused_picture_says_where_pictures_belong() -> None:
    with pytest.raises(UnsupportedParameter, match="into a message"):
        ask(images=[DATA])


NAMED: dict[str, tuple[dict[str, Any], str]] = {
    "a picture": ({"messages": [HELLO | {"images": ["?"]}]}, "messages[0].images[0]"),
    "a picture of a prompt": (
        {"prompt": "a", "system": "b", "images": [DATA, "?"]},
        "images[1]",
    ),
    "a text of a prompt": ({"prompt": "![](data:image/png,x)"}, "prompt"),
    "a schema": ({"format": {"not": {}}}, "format.not"),
}


@pytest.mark.parametrize(("given", "param"), NAMED.values(), ids=NAMED)
def test_errors_name_the_fields_of_this_api(given: Any, param: str) -> None:
    body, names = ask(**given)
    with pytest.raises(EdgeError) as refusal, names.in_errors():
        ParsedQuestion(body, 10, Caller("t", "me", "here", "me"))
    assert refusal.value.param == param


@pytest.mark.parametrize(
    ("given", "stays"),
    [
        ({"messages": []}, True),
        ({"messages": [], "keep_alive": 0}, False),
        ({"prompt": "", "keep_alive": "1h"}, True),
    ],
)
def test_a_model_may_be_loaded(given: dict[str, Any], stays: bool) -> None:
    with pytest.raises(NothingAsked) as loading:
        ask(**given)
    assert loading.value.stays == stays
