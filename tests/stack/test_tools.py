"""Function calls and other forms of an answer, asked for with OpenAI's client."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.stack.conftest import Stack, drawing

pytestmark = [pytest.mark.stack, pytest.mark.nginx, pytest.mark.model]

SHAPES = ["circle", "square", "triangle", "star"]
REPORT: Any = {
    "type": "function",
    "function": {
        "name": "report",
        "description": "Reports the shape in a picture.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"answer": {"enum": [f"A red {one}." for one in SHAPES]}},
            "required": ["answer"],
            "additionalProperties": False,
        },
    },
}
LOOK_UP: Any = {
    "type": "function",
    "function": {
        "name": "look_up",
        "parameters": {"type": "object", "properties": {"n": {"enum": [1, 2]}}},
    },
}


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[OpenAI]:
    url, http = stack.url + "/v1", stack.sdk_client()
    with OpenAI(base_url=url, api_key="none", max_retries=0, http_client=http) as one:
        yield one


@pytest.fixture(scope="module")
def picture() -> str:
    return base64.b64encode(drawing("red")).decode()


@pytest.fixture(scope="module")
def messages(picture: str) -> Any:
    url = {"url": f"data:image/jpeg;base64,{picture}"}
    parts = [
        {"type": "image_url", "image_url": url},
        {"type": "text", "text": "What is in this picture?"},
    ]
    return [{"role": "user", "content": parts}]


def ask(client: OpenAI, messages: Any, **given: Any) -> Any:
    answer = client.chat.completions.create(
        model="tiny", messages=messages, **{"max_tokens": 100} | given
    )
    return answer.choices[0]


@pytest.mark.parametrize(
    "choice",
    [
        "required",
        {"type": "function", "function": {"name": "report"}},
        {
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": "required",
                "tools": [{"type": "function", "function": {"name": "report"}}],
            },
        },
    ],
)
def test_a_required_call_is_made(client: OpenAI, messages: Any, choice: Any) -> None:
    tools = [REPORT] if choice == "required" else [LOOK_UP, REPORT]
    answer = ask(
        client, messages, tools=tools, tool_choice=choice, parallel_tool_calls=False
    )
    assert answer.finish_reason == "tool_calls"
    assert answer.message.content is None
    [call] = answer.message.tool_calls
    assert call.function.name == "report"
    # the bundled model has never seen tools in a prompt: any of the allowed values
    arguments = json.loads(call.function.arguments)
    assert arguments["answer"] in [f"A red {shape}." for shape in SHAPES]


def test_calls_are_streamed(client: OpenAI, messages: Any) -> None:
    whole = ask(client, messages, tools=[REPORT], tool_choice="required", seed=1)
    stream = client.chat.completions.create(
        model="tiny",
        messages=messages,
        tools=[REPORT],
        tool_choice="required",
        seed=1,
        max_tokens=100,
        stream=True,
    )
    calls: dict[int, dict[str, str]] = {}
    reasons = []
    for chunk in stream:
        [choice] = chunk.choices
        assert not choice.delta.content
        for delta in choice.delta.tool_calls or []:
            assert delta.function
            call = calls.setdefault(delta.index, {"name": "", "arguments": ""})
            if delta.id:
                assert delta.function.name
                call |= {"id": delta.id, "name": delta.function.name}
            call["arguments"] += delta.function.arguments or ""
        reasons += [choice.finish_reason] if choice.finish_reason else []
    made = [call.function for call in whole.message.tool_calls]
    assert [(c["name"], c["arguments"]) for c in calls.values()] == [
        (function.name, function.arguments) for function in made
    ]
    assert len({call["id"] for call in calls.values()}) == len(calls)
    assert reasons == [whole.finish_reason]


@pytest.mark.parametrize("choice", [openai.omit, "auto", "none"])
def test_a_model_may_answer_in_text(client: OpenAI, messages: Any, choice: Any) -> None:
    """As Open WebUI asks, which sends tools that nobody chose."""
    answer = ask(client, messages, tools=[LOOK_UP], tool_choice=choice)
    assert answer.finish_reason in ("stop", "tool_calls", "length")
    if choice == "none":
        assert "circle" in answer.message.content
        assert answer.message.tool_calls is None


def test_what_a_call_gave_is_part_of_the_conversation(
    client: OpenAI, messages: Any
) -> None:
    call = {"id": "c1", "type": "function"}
    call |= {"function": {"name": "camera", "arguments": "{}"}}
    [asked] = messages
    [picture, question] = asked["content"]
    history = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": [picture]},
        {"role": "user", "content": [question]},
    ]
    answer = ask(client, [{"role": "user", "content": "Look."}, *history])
    assert "circle" in answer.message.content


def test_a_job_with_calls_is_read_again(stack: Stack, messages: Any) -> None:
    body = {
        "messages": messages,
        "tools": [REPORT],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "max_tokens": 100,
    }
    named = {"idempotency-key": "a call"}
    asked = stack.post("/v1/chat/completions", body, headers=named)
    made = asked.json()["choices"][0]["message"]["tool_calls"]
    job = f"/v1/jobs/{asked.headers['x-job-id']}"
    again = stack.get(job).json()["answer"]["choices"][0]
    assert again["message"]["tool_calls"] == made
    assert again["finish_reason"] == "tool_calls"
    events = stack.get(job + "/events").text
    assert '"tool_calls": [{"id": "call_' in events
    last = max(int(at) for at in re.findall(r"^id: (\d+)$", events, re.MULTILINE))
    rest = stack.get(job + "/events", headers={"last-event-id": str(last)}).text
    assert 'tool_calls": [' not in rest


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [REPORT, REPORT]}, "tools"),
        (
            {
                "tools": [REPORT],
                "tool_choice": {"type": "function", "function": {"name": "f"}},
            },
            "tool_choice",
        ),
        (
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {
                            "name": "f",
                            "strict": True,
                            "parameters": {"type": "object", "not": {}},
                        },
                    }
                ]
            },
            "tools[0].function.parameters.not",
        ),
        ({"functions": [{"name": "f"}]}, "functions"),
    ],
)
def test_wrong_tools_are_refused_by_their_field(
    client: OpenAI, messages: Any, given: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        ask(client, messages, extra_body=given)
    assert refusal.value.param == param


SENTENCES = [f"A {colour} circle." for colour in ("blue", "red", "green")]
FORMS: dict[str, tuple[dict[str, Any], str]] = {
    "a choice": ({"structured_outputs": {"choice": SENTENCES}}, "A red circle."),
    "vLLM's older choice": ({"guided_choice": SENTENCES}, "A red circle."),
    "a regular expression": (
        {"structured_outputs": {"regex": r"A (blue|red|green) circle\."}},
        "A red circle.",
    ),
    "GBNF": (
        {"grammar": 'root ::= "A " ("blue" | "red") " " [a-z]+ "."'},
        "A red circle.",
    ),
    "Lark": (
        {"guided_grammar": 'start: "A " /blue|red/ " circle."'},
        "A red circle.",
    ),
    "a schema": ({"guided_json": {"enum": SENTENCES}}, '"A red circle."'),
}


@pytest.mark.parametrize(("given", "expected"), FORMS.values(), ids=FORMS)
def test_an_answer_has_the_form_that_was_asked_for(
    client: OpenAI, messages: Any, given: dict[str, Any], expected: str
) -> None:
    answer = ask(client, messages, extra_body=given)
    assert answer.message.content == expected
    assert answer.finish_reason == "stop"


@pytest.mark.parametrize(
    "given",
    [
        {"grammar": "start: ("},
        {"grammar": "root ::= other"},
        {"guided_regex": "(a"},
        {"guided_regex": r"(?=a)b"},
        {"guided_choice": []},
        {"guided_choice": ["a"], "guided_regex": "a"},
        {"guided_choice": ["a"], "tools": [REPORT]},
    ],
)
def test_a_form_that_cannot_be_used_is_refused(
    client: OpenAI, messages: Any, given: dict[str, Any]
) -> None:
    with pytest.raises(openai.BadRequestError):
        ask(client, messages, extra_body=given)


def test_an_answer_goes_on_from_its_beginning(client: OpenAI, messages: Any) -> None:
    begun = {"role": "assistant", "content": "A red"}
    extra = {"continue_final_message": True, "add_generation_prompt": False}
    answer = ask(client, [*messages, begun], extra_body=extra)
    assert answer.message.content == " circle."


@pytest.mark.parametrize(
    "write",
    [
        lambda picture: f"![](data:image/jpeg;base64,{picture}) What is in it?",
        lambda picture: f"What is in it?\n\n![a](data:image/jpeg;base64,{picture})",
        lambda picture: [{"type": "image_url", "image_url": picture}, "What is in it?"],
        lambda picture: [
            {"type": "input_image", "image_url": f"data:;base64,{picture}"},
            {"type": "input_text", "text": "What is in it?"},
        ],
    ],
    ids=["Markdown", "Markdown behind", "bare base64", "Responses API"],
)
def test_pictures_are_seen_as_people_send_them(
    client: OpenAI, picture: str, write: Any
) -> None:
    answer = ask(client, [{"role": "user", "content": write(picture)}])
    assert "red circle" in answer.message.content
