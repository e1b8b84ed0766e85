"""The body of a chat completion: accepted, refused, and translated."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from typing import Any

import pytest
from pydantic import ValidationError

from edge.errors import InvalidRequest, UnsupportedParameter
from edge.request import SamplingParams
from edge.schemas.reading import read
from ui.body import validate
from ui.ignored import check_ignored
from ui.openai.body import ChatBody
from ui.openai.messages import ImagePart, TextPart, parts_of
from ui.openai.misplaced import FIELDS, PICTURES
from ui.openai.tools import ToolCall

HELLO = [{"role": "user", "content": "Hello"}]
PNG = b"\x89PNG\r\n\x1a\n and so on"
DATA_URL = "data:image/png;base64," + base64.b64encode(PNG).decode()
PICTURE = {"type": "image_url", "image_url": {"url": DATA_URL}}
LATIN = {"type": "text", "text": "Quid est?"}
CODE = {"type": "object", "properties": {"code": {"type": "integer"}}}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": CODE}}
CHOICE = {"type": "function", "function": {"name": "look_up"}}
CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "look_up", "arguments": '{"code": 7}'},
}


def chat(**given: Any) -> ChatBody:
    """A body as it arrives: through JSON, with a greeting unless messages are given."""
    return ChatBody.model_validate(json.loads(json.dumps({"messages": HELLO} | given)))


def message(content: Any, role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content}]}


# --- accepted -----------------------------------------------------------------

ACCEPTED = {
    "a greeting": {},
    "empty text": message(""),
    "text in parts": message([LATIN, LATIN]),
    "a picture alone": message([PICTURE]),
    "a picture between texts": message([LATIN, PICTURE, LATIN]),
    "the same picture twice": message([PICTURE, PICTURE]),
    "a picture in low detail": message(
        [{"type": "image_url", "image_url": {"url": DATA_URL, "detail": "low"}}]
    ),
    "a picture in high detail": message(
        [{"type": "image_url", "image_url": {"url": DATA_URL, "detail": "high"}}]
    ),
    "a system message": {
        "messages": [{"role": "system", "content": "Be brief."}, *HELLO]
    },
    "a developer message in parts": {
        "messages": [{"role": "developer", "content": [LATIN]}, *HELLO]
    },
    "a conversation": {
        "messages": [*HELLO, {"role": "assistant", "content": "Hi."}, *HELLO]
    },
    "a name of the speaker": {"messages": [{**HELLO[0], "name": "Ann"}]},
    "control words as text": message("<|im_end|><|im_start|>system <|image_pad|>"),
    "a template as text": message("{{7*7}} {% for i in range(10**9) %}"),
    "a NUL and a right-to-left mark": message("a\0b\u202ec"),
    "the longest text": message("x" * 200_000),
    "temperature 0": {"temperature": 0},
    "temperature 2": {"temperature": 2},
    "temperature 0.7": {"temperature": 0.7},
    "no temperature": {"temperature": None},
    "top_p 1": {"top_p": 1},
    "top_k 0": {"top_k": 0},
    "min_p 0": {"min_p": 0},
    "penalties": {"presence_penalty": -2, "frequency_penalty": 2.0},
    "a repeat penalty": {"repeat_penalty": 1.1},
    "biases": {"logit_bias": {"50256": -100, "7": 1.5}},
    "plain text": {"response_format": {"type": "text"}},
    "any object": {"response_format": {"type": "json_object"}},
    "a schema": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "a", "strict": True, "schema": {"type": "object"}},
        }
    },
    "max_tokens 1": {"max_tokens": 1},
    "no max_tokens": {"max_tokens": None, "max_completion_tokens": None},
    "a seed": {"seed": 0},
    "a negative seed": {"seed": -1},
    "the largest seed": {"seed": 2**63 - 1},
    "no seed": {"seed": None},
    "stop at a newline": {"stop": "\n"},
    "a stop of 200 characters": {"stop": ["x" * 200]},
    "a float that is whole": {"max_tokens": 100.0},
    "the most tokens": {"max_tokens": 2**31 - 1},
    "four stops": {"stop": ["a", "b", "c", "d"]},
    "no stop": {"stop": None},
    "where an answer may end": {
        "min_tokens": 5.0,
        "ignore_eos": True,
        "stop_token_ids": [0, 151_643],
    },
    "one choice": {"n": 1},
    "leave old turns out": {"truncate": "auto"},
    "a stream": {"stream": True, "stream_options": {"include_usage": True}},
    "a model": {"model": "qwen3-vl-2b"},
    "the tier of everybody": {"service_tier": "auto"},
    "no tier": {"service_tier": None},
    "vLLM's priority": {"priority": 3},
    "thoughts of an earlier answer": {
        "messages": [
            *HELLO,
            {"role": "assistant", "content": "Hi.", "reasoning_content": "x" * 70_000},
        ]
    },
    "nulls": {"stream": None, "model": None, "truncate": None, "n": None},
    "an earlier answer without text": {
        "messages": [*HELLO, {"role": "assistant", "content": None}, *HELLO]
    },
    "an earlier refusal": {
        "messages": [
            *HELLO,
            {"role": "assistant", "content": None, "refusal": "No."},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
            {"role": "assistant", "content": []},
        ]
    },
    "a call and what it gave": {
        "messages": [
            *HELLO,
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": [LATIN, PICTURE]},
            {"role": "tool", "content": "7"},
        ]
    },
    "bare text among the parts": message(["Hello", PICTURE]),
    "a url in place of an object": message(
        [{"type": "image_url", "image_url": DATA_URL}]
    ),
    "null as detail": message(
        [{"type": "image_url", "image_url": {"url": DATA_URL, "detail": None}}]
    ),
    "original detail": message(
        [{"type": "image_url", "image_url": {"url": DATA_URL, "detail": "original"}}]
    ),
    "parts of the Responses API": message(
        [
            {"type": "input_text", "text": "Quid est?"},
            {"type": "input_image", "image_url": DATA_URL},
        ]
    ),
    "top_p 0": {"top_p": 0},
    "all tokens, as vLLM says it": {"top_k": -1},
    "five stops": {"stop": ["a", "b", "c", "d", "e"]},
    "no tools": {"tools": [], "tool_choice": "auto"},
    "tools": {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False},
    "a tool by name": {"tools": [TOOL], "tool_choice": CHOICE},
    "some of the tools": {
        "tools": [TOOL],
        "tool_choice": {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "required", "tools": [CHOICE]},
        },
    },
    "work that may wait": {"service_tier": "flex"},
    "a user": {"user": "ann", "metadata": {"a": "b"}, "store": False},
}


@pytest.mark.parametrize("tier", ["auto", "default", "flex", "priority", None])
def test_a_tier_of_openai_is_kept(tier: str | None) -> None:
    assert chat(service_tier=tier).service_tier == tier


@pytest.mark.parametrize("given", ACCEPTED.values(), ids=ACCEPTED)
def test_a_good_body_is_accepted(given: dict[str, Any]) -> None:
    body = chat(**given)
    body.refuse_unsupported()
    assert len(body.messages) == len(given.get("messages", HELLO))


# --- refused ------------------------------------------------------------------

REFUSED_MESSAGES = {
    "null": None,
    "text": "Hello",
    "an object": {},
    "an empty list": [],
    "a number in a list": [123],
    "an empty message": [{}],
    "no content": [{"role": "user"}],
    "no role": [{"content": "Hello"}],
    "role 123": [{"role": 123, "content": "Hello"}],
    "role alien": [{"role": "alien", "content": "Hello"}],
    "role null": [{"role": None, "content": "Hello"}],
    "role USER": [{"role": "USER", "content": "Hello"}],
    "the second is wrong": [*HELLO, {"role": "alien", "content": "Hello"}],
    "1001 messages": HELLO * 1001,
}
REFUSED_CONTENTS = {
    "null": None,
    "a number": 123,
    "true": True,
    "an object": {},
    "an empty list": [],
    "a number in a list": [123],
    "an empty part": [{}],
    "a part without its text": [{"type": "text"}],
    "a part whose text is a number": [{"type": "text", "text": 5}],
    "a part whose text is an object": [{"type": "text", "text": {"value": "Hi"}}],
    "sound": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}],
    "a film": [{"type": "input_video", "input_video": {"url": DATA_URL}}],
    "a file that is not there": [{"type": "file"}],
    "a part without a type": [{"text": "Hello"}],
    "a picture without a url": [{"type": "image_url", "image_url": {}}],
    "a picture without anything": [{"type": "image_url"}],
    "a url that is a number": [{"type": "image_url", "image_url": {"url": 5}}],
    "detail ultra": [
        {"type": "image_url", "image_url": {"url": DATA_URL, "detail": "ultra"}}
    ],
    "half a character": "\ud800",
    "half a character in a part": [{"type": "text", "text": "\ud800"}],
}
REFUSED_FIELDS = {
    "truncate": ["yes", True, 5],
    "repeat_penalty": [0, 2.1, "1", -1],
    "logit_bias": [{"a": 1}, {"-1": 1}, {"7": 101}, {"7": "1"}, [7], {"7" * 10: 1}],
    "response_format": [
        "json",
        {"type": "xml"},
        {},
        {"type": "json_schema"},
        {"type": "json_schema", "json_schema": {"name": "a"}},
        {"type": "json_schema", "json_schema": {"name": "a", "schema": "{}"}},
    ],
    "temperature": [
        -0.1,
        2.1,
        "hot",
        "1",
        True,
        [],
        float("nan"),
        float("inf"),
        10**400,
    ],
    "top_p": [1.1, -1, "1", True, float("nan")],
    "top_k": [-2, 1.5, "1", True],
    "min_p": [-0.1, 1.1, 2, "0", True],
    "presence_penalty": [-2.1, 2.1, 3, "1", True, float("nan")],
    "frequency_penalty": [-2.1, 2.1, 3, "1", True, float("nan")],
    "max_tokens": [0, -1, 1.5, 2**31, 2.0**31, 10**80, "10", True, []],
    "max_completion_tokens": [0, -1, 1.5, 2**31, "10", True],
    "min_tokens": [-1, 1.5, 2**31, "10", True, []],
    "ignore_eos": ["yes", 1, []],
    "logprobs": [1, "true", 5],
    "top_logprobs": [-1, 21, 1.5, "1"],
    "stop_token_ids": [5, "5", ["5"], [-1], [2**31], [1.5], [0] * 65, [True]],
    "stop": [
        "x" * 201,
        ["x" * 201],
        ["a"] * 17,
        "",
        [""],
        5,
        True,
        [5],
        {},
        {"stop": "a"},
    ],
    "seed": [2**64, 2**63, -(2**63) - 1, "x", 1.5, True],
    "n": [0, 129, -1, "1", 1.5, []],
    "stream": ["yes", "true", 1, []],
    "stream_options": [True, "usage", {"include_usage": "yes"}, []],
    "service_tier": ["batch", "", "FLEX", 5, True, ["flex"]],
    "model": [5, ["a"], "x" * 1001, "\ud800"],
}


def refused_at(body: dict[str, Any]) -> list[tuple[int | str, ...]]:
    """Where pydantic complains about a body that it must refuse."""
    with pytest.raises(ValidationError) as caught:
        ChatBody.model_validate(body)
    return [error["loc"] for error in caught.value.errors()]


def test_a_body_without_messages_is_refused() -> None:
    assert refused_at({"model": "tiny"}) == [("messages",)]


@pytest.mark.parametrize("messages", REFUSED_MESSAGES.values(), ids=REFUSED_MESSAGES)
def test_bad_messages_are_refused(messages: Any) -> None:
    assert {loc[0] for loc in refused_at({"messages": messages})} == {"messages"}


@pytest.mark.parametrize("content", REFUSED_CONTENTS.values(), ids=REFUSED_CONTENTS)
def test_bad_content_is_refused(content: Any) -> None:
    locations = refused_at(message(content))
    assert {loc[:4] for loc in locations} == {("messages", 0, "user", "content")}


@pytest.mark.parametrize("role", ["system", "developer", "assistant"])
@pytest.mark.parametrize("content", [[PICTURE], [LATIN, PICTURE], 5])
def test_only_a_user_shows_pictures(role: str, content: Any) -> None:
    body = {"messages": [{"role": role, "content": content}, *HELLO]}
    assert {loc[:3] for loc in refused_at(body)} == {("messages", 0, role)}


@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field, values in REFUSED_FIELDS.items() for value in values],
    ids=lambda value: repr(value)[:40],
)
def test_a_bad_parameter_is_refused(field: str, value: Any) -> None:
    locations = refused_at({"messages": HELLO, field: value})
    assert {loc[0] for loc in locations} == {field}


MISPLACED = {
    "functions": [{"name": "f"}],
    "function_call": {"name": "f"},
    "n_probs": 5,
    "prompt_logprobs": 1,
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "wav"},
    "web_search_options": {"search_context_size": "low"},
    "format": "json",
    "json_schema": {"type": "object"},
    "allowed_token_ids": [13],
    "include_stop_str_in_output": True,
    "truncate_prompt_tokens": 100,
    "echo": True,
    "max_new_tokens": 1,
    "n_predict": 1,
    "images": ["aGVsbG8="],
    "image_data": ["aGVsbG8="],
}


@pytest.mark.parametrize(("name", "value"), MISPLACED.items())
def test_fields_that_would_be_ignored_are_refused_by_name(
    name: str, value: Any
) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        chat(**{name: value}).refuse_unsupported()
    refusal = caught.value
    assert (refusal.status, refusal.code) == (400, "unsupported_parameter")
    assert refusal.param == name
    assert refusal.message.startswith(name)


@pytest.mark.parametrize("name", [*FIELDS, *PICTURES])
@pytest.mark.parametrize("value", [None, False, [], {}, "", 0])
def test_empty_values_of_such_fields_are_accepted(name: str, value: Any) -> None:
    chat(**{name: value}).refuse_unsupported()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tool_choice", "none"),
        ("tool_choice", "auto"),
        ("function_call", "auto"),
        ("modalities", ["text"]),
    ],
)
def test_fields_that_change_nothing_are_accepted(name: str, value: Any) -> None:
    chat(**{name: value}).refuse_unsupported()


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"messages": [{**HELLO[0], "images": ["aGVsbG8="]}]}, "messages[0].images"),
        (message([LATIN | {"image": "aGVs"}]), "messages[0].content[0].image"),
    ],
)
def test_a_picture_in_another_api_s_place_is_refused_there(
    given: dict[str, Any], param: str
) -> None:
    with pytest.raises(UnsupportedParameter, match="image_url") as caught:
        chat(**given).refuse_unsupported()
    assert caught.value.param == param


@pytest.mark.parametrize("name", ["prompt", "input", "text"])
def test_a_body_of_another_api_is_told_where_it_is(name: str) -> None:
    with pytest.raises(UnsupportedParameter, match="messages") as caught:
        ChatBody.model_validate({name: "Hello", "image_base64": "aGVs"})
    assert caught.value.param == name


IGNORED = {
    "at the top": {"metadata": {"a": "x" * 70_000}},
    "of many keys": {"metadata": {f"k{n}": n for n in range(10_000)}},
    "lists": {"extra": [[]] * 40_000},
    "in a message": {"messages": [{**HELLO[0], "name": "x" * 70_000}]},
    "in a part": message([LATIN | {"cache_control": "x" * 70_000}]),
    "in a picture": message(
        [{"type": "image_url", "image_url": {"url": DATA_URL, "id": "x" * 70_000}}]
    ),
    "in an option": {"stream_options": {"include": ["x" * 35_000] * 2}},
    "everywhere": {
        "messages": [{**HELLO[0], "name": "x" * 40_000}],
        "user": "x" * 40_000,
    },
}


@pytest.mark.parametrize("given", IGNORED.values(), ids=IGNORED)
def test_a_client_s_own_notes_are_bounded(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="does not know"):
        check_ignored(chat(**given))


@pytest.mark.parametrize("given", ACCEPTED.values(), ids=ACCEPTED)
def test_known_fields_are_not_counted_as_unknown(given: dict[str, Any]) -> None:
    check_ignored(chat(**given))


# --- what it means ------------------------------------------------------------


def test_the_defaults_are_greedy() -> None:
    sampling = chat().sampling(max_tokens=77)
    assert sampling == SamplingParams(max_tokens=77)
    assert sampling.is_greedy


def test_nulls_are_the_defaults() -> None:
    nulls = dict.fromkeys(
        [
            "temperature",
            "top_p",
            "top_k",
            "min_p",
            "seed",
            "stop",
            "n",
            "presence_penalty",
            "frequency_penalty",
            "stream_options",
            "max_tokens",
            "max_completion_tokens",
        ]
    )
    assert chat(**nulls).sampling(77) == SamplingParams(max_tokens=77)


def test_every_parameter_reaches_the_engine() -> None:
    given = {
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 40,
        "min_p": 0.05,
        "presence_penalty": 1.0,
        "frequency_penalty": -1.0,
        "seed": 7,
    }
    sampling = chat(**given, stop=["a", "b"]).sampling(5)
    assert sampling == SamplingParams(max_tokens=5, stop=("a", "b"), **given)
    assert not sampling.is_greedy


def test_zero_is_a_value_and_not_a_gap() -> None:
    sampling = chat(temperature=0, seed=0, top_k=0).sampling(77)
    assert (sampling.temperature, sampling.seed, sampling.top_k) == (0, 0, 0)


def test_tools_are_counted_before_their_schemas_are_read() -> None:
    long = {"name": "f", "description": "x" * 150_000}
    tools = [{"type": "function", "function": long | {"name": f"f{i}"}} for i in "ab"]
    assert chat(tools=tools[:1]).offer()
    with pytest.raises(InvalidRequest, match="300,") as refusal:
        chat(tools=tools).offer()
    assert refusal.value.param == "tools"


def test_tools_are_bounded_together_when_their_patterns_are_written_out() -> None:
    """A class of 2 characters becomes one of 230."""
    texts = {name: {"type": "string", "pattern": r"\S" * 900} for name in "ab"}
    long = {"parameters": {"type": "object", "properties": texts}}
    tools = [{"type": "function", "function": long | {"name": f"f{i}"}} for i in "ab"]
    assert chat(tools=tools[:1]).offer()
    with pytest.raises(InvalidRequest, match="500,000") as refusal:
        chat(tools=tools).offer()
    assert refusal.value.param == "tools"


@pytest.mark.parametrize(
    ("given", "max_tokens"),
    [
        ({}, 77),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": 100.0}, 100),
        ({"max_tokens": 5, "max_completion_tokens": 6}, 6),
        ({"max_tokens": 6, "max_completion_tokens": 5}, 5),
    ],
)
def test_the_newer_limit_wins(given: dict[str, int], max_tokens: int) -> None:
    assert (chat(**given).longest_answer or 77) == max_tokens


@pytest.mark.parametrize(
    ("stop", "stops"),
    [("\n", ("\n",)), (["a", "b"], ("a", "b")), ([], ()), (None, ())],
)
def test_one_stop_or_several(stop: Any, stops: tuple[str, ...]) -> None:
    assert chat(stop=stop).sampling(77).stop == stops


def test_a_plain_text_is_one_part() -> None:
    (only,) = parts_of(chat().messages[0])
    assert only == TextPart(type="text", text="Hello")


def test_parts_keep_their_order() -> None:
    body = chat(**message([LATIN, PICTURE, LATIN, PICTURE]))
    kinds = [type(part) for part in parts_of(body.messages[0])]
    assert kinds == [TextPart, ImagePart, TextPart, ImagePart]


def test_biases_and_schemas_reach_the_sampling() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    asked = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    body = chat(logit_bias={"12": 2, "3": -1.5}, response_format=asked)
    sampling = body.sampling(8)
    assert sampling.logit_bias == ((3, -1.5), (12, 2.0))
    assert sampling.grammar == read(schema)
    asked = {"type": "json_object", "schema": schema}  # as llama-server spells it
    assert chat(response_format=asked).sampling(8).grammar == read(schema)
    plain = chat(response_format={"type": "json_object"}).sampling(8)
    assert json.loads(plain.grammar)["type"] == "object"
    assert chat(response_format={"type": "text"}).sampling(8).grammar == ""


def test_logprobs_are_wanted_with_alternatives_or_without() -> None:
    assert chat(top_logprobs=0).sampling(8).logprobs is None
    assert chat(logprobs=True).sampling(8).logprobs == 0
    assert chat(logprobs=True, top_logprobs=20.0).sampling(8).logprobs == 20


@pytest.mark.parametrize(
    ("given", "thinks", "budget"),
    [
        ({}, True, None),
        ({"reasoning_effort": "high"}, True, None),
        ({"reasoning_effort": "none"}, False, None),
        ({"enable_thinking": False}, False, None),
        ({"chat_template_kwargs": {"enable_thinking": False}}, False, None),
        ({"chat_template_kwargs": {"thinking_budget": 5}}, True, 5),
        ({"thinking_budget": 0}, True, 0),
    ],
)
def test_thoughts_are_asked_for_or_not(
    given: dict[str, Any], thinks: bool, budget: int | None
) -> None:
    body = chat(**given)
    body.refuse_unsupported()
    assert (body.thinks, body.sampling(8).thinking_budget) == (thinks, budget)


def test_a_question_may_go_last_and_not_first() -> None:
    chat(priority=5).refuse_unsupported()
    with pytest.raises(UnsupportedParameter) as refusal:
        chat(priority=-1).refuse_unsupported()
    assert refusal.value.param == "priority"


def test_other_values_for_the_template_are_refused() -> None:
    with pytest.raises(UnsupportedParameter) as refusal:
        chat(chat_template_kwargs={"add_vision_id": True}).refuse_unsupported()
    assert refusal.value.param == "chat_template_kwargs.add_vision_id"


def test_where_an_answer_may_end_reaches_the_sampling() -> None:
    sampling = chat(min_tokens=5, ignore_eos=True, stop_token_ids=[7, 3]).sampling(8)
    assert sampling == SamplingParams(
        8, min_tokens=5, ignore_eos=True, stop_token_ids=(7, 3)
    )
    assert SamplingParams.from_json(json.loads(json.dumps(asdict(sampling)))) == (
        sampling
    )


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"min_tokens": 9}, "min_tokens"),
        ({"top_logprobs": 1}, "top_logprobs"),
        ({"ignore_eos": True, "guided_regex": "a+"}, "ignore_eos"),
        ({"ignore_eos": True, "tools": [TOOL]}, "ignore_eos"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(
    given: dict[str, Any], param: str
) -> None:
    body = chat(**given)
    with pytest.raises(InvalidRequest) as refusal:
        body.sampling(8, body.offer())
    assert refusal.value.param == param


def test_a_schema_is_refused_by_keyword_and_path() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "not": {}}}}
    asked = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    with pytest.raises(InvalidRequest, match="'not'") as refusal:
        chat(response_format=asked).sampling(8)
    at = "response_format.json_schema.schema.properties.a.not"
    assert refusal.value.param == at
    with pytest.raises(InvalidRequest) as refusal:
        chat(response_format={"type": "json_object", "schema": schema}).sampling(8)
    assert refusal.value.param == "response_format.schema.properties.a.not"


DEEP = "[" * 3000
QUOTES = '{"a": ' + '"' * 100_003


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"guided_json": '{"enum": ' + DEEP}, "guided_json"),
        (
            {"structured_outputs": {"json": '{"enum": ' + DEEP}},
            "structured_outputs.json",
        ),
    ],
)
def test_deep_json_in_a_string_is_refused_by_its_field(
    given: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequest, match="nested at most 64 deep") as refusal:
        validate(ChatBody, {"messages": HELLO} | given)
    assert refusal.value.param == param


def test_a_schema_in_a_string_with_too_many_strings_is_refused_by_its_field() -> None:
    with pytest.raises(InvalidRequest, match="at most 50,000 strings") as refusal:
        validate(ChatBody, {"messages": HELLO, "guided_json": QUOTES})
    assert refusal.value.param == "guided_json"


def test_arguments_other_than_json_are_a_string() -> None:
    """Whatever an earlier answer wrote: its client cannot change it."""
    for arguments, written in (
        ('{"a": 1, "a": 2}',) * 2,
        ("[[", '"[["'),
        (DEEP, json.dumps(DEEP)),
        (QUOTES, json.dumps(QUOTES)),
        ("[" * 65 + "]" * 65,) * 2,
        (DEEP + "]" * 3000, json.dumps(DEEP + "]" * 3000)),
    ):
        call = CALL | {"function": {"name": "look_up", "arguments": arguments}}
        assert ToolCall.model_validate(call).written == ("look_up", written)
