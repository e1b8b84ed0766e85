"""A response from the events of its job."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import ResponseErrorEvent

from edge.errors import Cancelled, ClientLimit, InvalidRequest, WorkerLost
from edge.events import Event, Failed, Finished, Queued, Retried, Token
from edge.logprobs import ShownLogprobs, TokenLogprob
from edge.qwen3vl.thoughts import OPENED
from edge.request import Answer
from ui.responses.reply import Response

CALLS = (
    'I look.\n<tool_call>\n{"name": "f", "arguments": {"a": "}"}}\n</tool_call>\n'
    '<tool_call>\n{"name": "g", "arguments": {}}\n</tool_call>\nDone.'
)
RESPONSE = Response("j" * 32, 1.5, "tiny", True, {"tools": []})


async def told(
    events: Sequence[Event | None], after: int = -1
) -> tuple[list[dict[str, Any]], str]:
    """The events that a stream tells, and all its lines."""

    async def come() -> Any:
        for event in events:
            yield event

    lines = "".join([line async for line in RESPONSE.stream(come(), after)])
    datas = [line[6:] for line in lines.split("\n") if line.startswith("data: ")]
    return [json.loads(data) for data in datas], lines


def pieces(text: str, cuts: Sequence[int]) -> list[Event | None]:
    """The events of an answer that comes in these pieces."""
    ends = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    tokens = [Token(text[a:b]) for a, b in pairwise(ends)]
    return [Queued(1), None, *tokens, Finished(Answer(text, "stop"))]


async def test_calls_are_items() -> None:
    events, lines = await told(pieces(CALLS, [3, 20, 40, 60, 100]))
    response = events[-1]["response"]
    assert events[-1]["type"] == "response.completed"
    assert [item["type"] for item in response["output"]] == [
        "message",
        "function_call",
        "function_call",
        "message",
    ]
    [_, first, second, _] = response["output"]
    assert (first["name"], first["arguments"]) == ("f", '{"a": "}"}')
    assert (second["name"], second["arguments"]) == ("g", "{}")
    assert len({item["id"] for item in response["output"]}) == 4
    assert all(item["status"] == "completed" for item in response["output"])
    assert response["output"] == RESPONSE.body(events_end(CALLS))["output"]
    # an empty line behind a comment would be an event without data
    assert ": progress" in lines
    assert all(
        block.split("\n")[-2].startswith("event: ")
        for block in lines.split("\n\n")
        if block
    )


async def test_thoughts_are_an_item_of_their_own() -> None:
    answer = f"{OPENED}Round, red.\n</think>\n\nA circle."
    events, _ = await told(pieces(answer, [12, 20, 30]))
    [thoughts, message] = events[-1]["response"]["output"]
    assert thoughts["type"] == "reasoning"
    assert thoughts["content"][0]["text"].strip() == "Round, red."
    assert message["content"][0]["text"].strip() == "A circle."
    deltas = {"reasoning_text": "", "output_text": ""}
    for event in events:
        if "delta" in event:
            kind = event["type"].removeprefix("response.").removesuffix(".delta")
            deltas[kind] += event["delta"]
    assert deltas["reasoning_text"] == thoughts["content"][0]["text"]
    assert deltas["output_text"] == message["content"][0]["text"]


def events_end(text: str) -> Finished:
    return Finished(Answer(text, "stop"))


def whole(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events with neighbouring deltas in one."""
    joined: list[dict[str, Any]] = []
    for event in events:
        last = joined[-1] if joined else {}
        if "delta" in event and last.get("type") == event["type"]:
            joined[-1] = event | {"delta": last["delta"] + event["delta"]}
        else:
            joined.append(event)
    return joined


CUTS = st.lists(st.integers(0, len(CALLS)), max_size=6)


@settings(max_examples=60)
@given(CUTS, CUTS, st.integers(-1, 200))
async def test_a_stream_goes_on_in_other_pieces(
    cuts: list[int], others: list[int], after: int
) -> None:
    """Whatever a client has, the rest completes it."""
    events, _ = await told(pieces(CALLS, cuts))
    known = [event for event in events if event["sequence_number"] <= after]
    last = known[-1]["sequence_number"] if known else -1
    rest, _ = await told(pieces(CALLS, others), last)
    assert whole(known + rest) == whole(events)


async def test_a_client_gets_no_text_twice() -> None:
    first = [Token(CALLS[:30]), Retried()]
    events, _ = await told([*first, *pieces(CALLS, [50])])
    plain, _ = await told(pieces(CALLS, []))
    assert whole(events) == whole(plain)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (WorkerLost("Lost."), "failed", "server_error"),
        (Cancelled("Left."), "cancelled", "invalid_prompt"),
    ],
)
async def test_a_failure_is_an_event(error: Any, status: str, code: str) -> None:
    events, _ = await told([Token("a"), Failed.because(error)])
    assert events[-1]["type"] == "response.failed"
    response = events[-1]["response"]
    assert (response["status"], response["error"]["code"]) == (status, code)
    assert response["error"]["message"] == error.message


async def test_a_failure_names_the_field_of_this_api() -> None:
    error = InvalidRequest("messages is too long.", param="messages")
    events, _ = await told([Failed.because(error)])
    failure = events[-1]["response"]["error"]
    assert (failure["param"], failure["message"]) == ("input", "input is too long.")


@pytest.mark.parametrize("after", [-1, 3, 99])
async def test_an_error_of_the_stream_alone_does_not_end_the_response(
    after: int,
) -> None:
    async def come() -> Any:
        yield Token("abc")
        raise ClientLimit("Too many.")

    lines = [line async for line in RESPONSE.stream(come(), after)]
    kind, data, *_ = lines[-1].split("\n")
    event = ResponseErrorEvent.model_validate_json(data.removeprefix("data: "))
    assert (kind, event.type) == ("event: error", "error")
    assert (event.code, event.message) == ("client_limit", "Too many.")
    # that of the last event, so that a client goes on without a gap
    assert event.sequence_number == max(after, 6)


async def test_an_empty_answer_is_an_empty_message() -> None:
    events, _ = await told([events_end("")])
    [message] = events[-1]["response"]["output"]
    assert message["content"][0]["text"] == ""
    assert [event["type"] for event in events[2:4]] == [
        "response.output_item.added",
        "response.content_part.added",
    ]


# the tokens of thoughts, a message, a call and another message
WORDS = [
    *("so", "</think>", "\n\n"),
    *("a", " ", "猫", " <", "b", "\n"),
    *(
        "<tool_call>",
        '\n{"name": "f", "arguments": {',
        "}",
        "}\n",
        "</tool_call>",
        "\n",
    ),
    *("Done", "."),
]
ANSWER = OPENED + "".join(WORDS)


def tokens_of(words: Sequence[str]) -> list[TokenLogprob]:
    """Their tokens: the first byte of a character of several is one of its own."""
    pieces: list[bytes] = []
    for word in words:
        raw = word.encode()
        pieces += [raw] if raw.isascii() else [raw[:1], raw[1:]]
    likeliest = (("a", -0.5),)
    return [TokenLogprob(raw.decode("latin-1"), -1.0, likeliest) for raw in pieces]


@settings(deadline=None)
@given(st.lists(st.integers(len(OPENED), len(ANSWER)), max_size=8))
async def test_messages_have_the_log_probabilities_of_their_tokens(
    cuts: list[int],
) -> None:
    tokens = tokens_of(WORDS)
    shown = ShownLogprobs(OPENED)
    for one in tokens:
        shown.add(one.token.encode("latin-1"), one)
    ends = sorted({*cuts, 0, len(ANSWER)})
    texts = [ANSWER[a:b] for a, b in pairwise(ends)]
    finished = Finished(Answer(ANSWER, "stop", logprobs=tuple(tokens)))
    come = [Token(text, shown.show(text)) for text in texts]
    events, _ = await told([*come[:3], Retried(), *come[:2], finished])
    *_, end = events
    output = end["response"]["output"]
    assert output == RESPONSE.output(finished)
    [first, second] = [
        item["content"][0] for item in output if item["type"] == "message"
    ]
    assert [one["token"] for one in first["logprobs"]] == [
        *("a", " ", "\\xe7", "\\x8c\\xab", " <", "b")
    ]
    assert first["text"] == "a 猫 <b"
    assert [one["token"] for one in second["logprobs"]] == ["Done", "."]
    assert first["logprobs"][0]["top_logprobs"][0]["bytes"] == [97]
    deltas = [e for e in events if e["type"] == "response.output_text.delta"]
    told_tokens = [one["token"] for delta in deltas for one in delta["logprobs"]]
    assert told_tokens == [
        one["token"] for one in first["logprobs"] + second["logprobs"]
    ]
    [done, _] = [e for e in events if e["type"] == "response.output_text.done"]
    assert done["logprobs"] == first["logprobs"]
