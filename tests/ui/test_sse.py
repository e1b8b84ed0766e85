"""Events of a job as lines of a stream, and when a stream may begin."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from edge.errors import EngineError, InvalidRequest
from edge.events import (
    Accepted,
    Embedded,
    Encoding,
    Event,
    Failed,
    Finished,
    Prefilling,
    Queued,
    Retried,
    Started,
    Token,
)
from edge.logprobs import ShownLogprobs, TokenLogprob
from edge.request import Answer
from edge.usage import Usage
from ui.event_streams import await_answer, await_start, together
from ui.sse import DONE, KEEP_ALIVE, Reply, event_stream

TEXT = "A 猫 and a dog."
FINISHED = Finished(Answer(TEXT, "stop", Usage(70, 5)))
REFUSED = Failed.because(InvalidRequest("Too long."))
REPLY = Reply("job", 1700000000.9, "tiny")


async def given_events(*events: Event | None) -> AsyncIterator[Event | None]:
    for event in events:
        await asyncio.sleep(0)
        yield event


async def lines(*events: Event | None, skip: int = 0, usage: bool = False) -> list[str]:
    numbered = together([given_events(*events)])
    return [line async for line in REPLY.stream(numbered, usage, skip)]


def parse(line: str) -> tuple[str | None, Any]:
    """Id and data of a frame."""
    assert line.endswith("\n\n")
    fields = dict(part.split(": ", 1) for part in line.strip().split("\n"))
    return fields.get("id"), json.loads(fields["data"])


def chunks(sent: list[str]) -> list[tuple[int, Any]]:
    """All chunks of the answer, with the number of characters up to their ends."""
    parsed = [parse(line) for line in sent if line.startswith("id: ")]
    return [(int(at or ""), body["choices"][0]) for at, body in parsed]


def text_of(sent: list[str]) -> str:
    return "".join(choice["delta"].get("content", "") for _, choice in chunks(sent))


def shown(**progress: Any) -> str:
    return f": progress {json.dumps(progress)}\n"


def tokens(*cuts: int) -> list[Token]:
    """The answer's text, cut at these characters."""
    places = [0, *cuts, len(TEXT)]
    return [Token(TEXT[a:b]) for a, b in pairwise(places) if a < b]


async def test_openai_s_client_reads_past_comments_everywhere() -> None:
    quiet: list[Event | None] = [None, Queued(2, 1.5), Retried(), None]
    streamed: list[Event | None] = [None]
    for token in tokens(2, 9):
        streamed += [*quiet[:2], token, *quiet[:2]]
    sent = "".join(await lines(*quiet, *streamed, FINISHED, usage=True)).encode()
    events = list(SSEDecoder().iter_bytes(iter([sent])))
    assert events[-1].data == "[DONE]"
    found = [event.json() for event in events[:-1]]
    texts = [c["delta"].get("content") or "" for b in found for c in b["choices"]]
    assert "".join(texts) == TEXT


# --- a stream ---------------------------------------------------------------------


async def test_a_whole_stream_reads_as_openai_clients_expect() -> None:
    sent = await lines(Accepted(70), Started(70), Embedded(64), *tokens(2, 9), FINISHED)
    sent = [line for line in sent if not line.startswith(": ")]
    bodies = [parse(line)[1] for line in sent[:-1]]
    assert {body["id"] for body in bodies} == {"chatcmpl-job"}
    assert {body["created"] for body in bodies} == {1700000000}
    assert {body["model"] for body in bodies} == {"tiny"}
    assert {body["object"] for body in bodies} == {"chat.completion.chunk"}
    first, *_, last = (choice for _, choice in chunks(sent))
    assert first["delta"] == {"role": "assistant", "content": ""}
    assert (last["delta"], last["finish_reason"]) == ({}, "stop")
    assert text_of(sent) == TEXT
    assert sent[-1] == DONE


async def test_the_id_of_a_chunk_is_how_much_text_there_is_up_to_its_end() -> None:
    sent = await lines(*tokens(2, 9), FINISHED)
    assert [at for at, _ in chunks(sent)] == [0, 2, 9, len(TEXT), len(TEXT)]


async def test_usage_comes_last_when_asked_for() -> None:
    *_, usage, done = await lines(*tokens(), FINISHED, usage=True)
    at, body = parse(usage)
    assert at is None
    assert body["choices"] == []
    assert body["usage"]["total_tokens"] == 75
    assert done == DONE
    assert not any("usage" in line for line in await lines(*tokens(), FINISHED))


async def test_a_failure_is_a_frame_and_not_just_an_end() -> None:
    *_, frame, done = await lines(*tokens(3)[:1], Failed("worker_lost", "It died."))
    assert parse(frame)[1]["error"]["code"] == "worker_lost"
    assert done == DONE


async def test_an_answer_without_any_text_before_its_end_is_given_whole() -> None:
    """From the cache, or after events were lost."""
    assert text_of(await lines(FINISHED)) == TEXT
    assert text_of(await lines(*tokens(5)[:1], FINISHED)) == TEXT


@pytest.mark.parametrize(
    ("event", "comment"),
    [
        (None, KEEP_ALIVE),
        (
            Accepted(70, 64),
            shown(stage="queue", prompt_tokens=70, image_tokens=64),
        ),
        (Queued(3), shown(stage="queue", position=3, starts_in_s=None)),
        (Queued(1, 0.0), shown(stage="queue", position=1, starts_in_s=0.0)),
        (
            Queued(1, 9.0, 6.0),
            shown(stage="queue", position=1, starts_in_s=9.0, loading_s=6.0),
        ),
        (
            Queued(1, 9.0, 9.0, waits_for_room=True),
            shown(stage="queue", position=1, starts_in_s=9.0, waits_for_room=True),
        ),
        (
            Started(70, 64),
            shown(stage="encode", prompt_tokens=70, image_tokens=64),
        ),
        (
            Encoding(0, 2, 6, 25),
            shown(stage="encode", picture=0, n_pictures=2, done=6, of=25),
        ),
        (Started(70), shown(stage="prefill", prompt_tokens=70, image_tokens=0)),
        (Prefilling(32, 70), shown(stage="prefill", done=32, of=70)),
        (Retried(), shown(stage="queue", is_retried=True)),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_progress_is_a_comment(event: Event | None, comment: str) -> None:
    assert comment in await lines(event, *tokens(), FINISHED)
    assert comment.startswith(": ") and comment.count("\n") == 1


async def test_the_end_of_a_picture_is_not_sent() -> None:
    assert await lines(Embedded(64), FINISHED) == await lines(FINISHED)


# --- going on ---------------------------------------------------------------------


@pytest.mark.parametrize("skip", range(len(TEXT) + 3))
@pytest.mark.parametrize("cuts", [(), (2, 9), tuple(range(1, len(TEXT)))])
async def test_a_stream_goes_on_where_it_was_left(
    skip: int, cuts: tuple[int, ...]
) -> None:
    for events in ([*tokens(*cuts), FINISHED], [FINISHED]):
        sent = await lines(*events, skip=skip)
        assert text_of(sent) == TEXT[skip:]
        assert chunks(sent)[0][0] == skip
        at, last = chunks(sent)[-1]
        assert (at, last["finish_reason"]) == (len(TEXT), "stop")


cuts = st.lists(st.integers(1, len(TEXT) - 1), max_size=6).map(sorted)


@settings(max_examples=100)
@given(cuts, st.integers(0, 6), cuts, cuts)
async def test_resuming_at_any_id_gives_the_text_once(
    before: list[int], n_before: int, first: list[int], second: list[int]
) -> None:
    """Also when a worker died before, and again after they came back."""
    lost = [*tokens(*before)[:n_before], Retried()]
    sent = await lines(*lost, *tokens(*first), FINISHED)
    for at, _ in chunks(sent):
        seen = "".join(
            choice["delta"].get("content", "")
            for there, choice in chunks(sent)
            if there <= at
        )
        rest = await lines(*lost, *tokens(*second), FINISHED, skip=at)
        assert seen[:at] + text_of(rest) == TEXT


@pytest.mark.parametrize("n_lost", [0, 1, 3])
async def test_text_of_a_lost_attempt_is_not_shown_again(n_lost: int) -> None:
    lost = tokens(2, 5, 9)[:n_lost]
    sent = await lines(Started(70), *lost, Retried(), *tokens(1, 7), FINISHED)
    assert text_of(sent) == TEXT
    ats = [at for at, _ in chunks(sent)]
    assert ats == sorted(ats)


async def test_a_second_loss_does_no_harm_either() -> None:
    sent = await lines(
        *tokens(9)[:1],
        Retried(),
        *tokens(3)[:1],
        Retried(),
        *tokens(1, 12),
        FINISHED,
        skip=4,
    )
    assert text_of(sent) == TEXT[4:]


# --- several answers ----------------------------------------------------------------

OTHER = Finished(Answer("Two dogs.", "length", Usage(70, 3, 64)))


def by_index(sent: list[str]) -> dict[int, str]:
    found: dict[int, str] = {}
    for line in sent:
        if line.startswith("data: {"):
            for choice in parse(line)[1]["choices"]:
                text = choice["delta"].get("content", "")
                found[choice["index"]] = found.get(choice["index"], "") + text
    return found


async def test_the_choices_of_a_stream_are_interleaved() -> None:
    reply = Reply("job", 1.0, "tiny", n=2)
    streams = [
        given_events(Queued(1, 2.0), *tokens(2, 9), FINISHED),
        given_events(Queued(2, 3.0), Token("Two "), Token("dogs."), None, OTHER),
    ]
    sent = [line async for line in reply.stream(together(streams), True)]
    assert by_index(sent) == {0: TEXT, 1: "Two dogs."}
    assert not any(line.startswith("id: ") for line in sent)  # nothing to resume from
    assert shown(stage="queue", position=1, starts_in_s=2.0) in sent
    assert shown(stage="queue", position=2, starts_in_s=3.0) not in sent
    usage, done = [line for line in sent if not line.startswith(": ")][-2:]
    assert parse(usage)[1]["usage"] == {
        "prompt_tokens": 70,
        "completion_tokens": 8,
        "total_tokens": 78,
        "prompt_tokens_details": {
            "cached_tokens": 0,
            "image_tokens": 0,
            "memory_image_tokens": 0,
            "stored_image_tokens": 0,
        },
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    assert done == DONE


async def test_equal_answers_are_computed_once_and_given_often() -> None:
    reply = Reply("job", 1.0, "tiny", n=3, are_equal=True)
    body = reply.complete([FINISHED.answer])
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert {choice["message"]["content"] for choice in body["choices"]} == {TEXT}
    assert body["usage"]["completion_tokens"] == 15
    streamed = reply.stream(together([given_events(*tokens(4), FINISHED)]), True)
    assert by_index([line async for line in streamed]) == dict.fromkeys(range(3), TEXT)


async def test_a_failure_of_one_ends_all_and_nothing_is_read_on() -> None:
    closed = []

    async def endless() -> AsyncIterator[Event | None]:
        try:
            while True:
                await asyncio.sleep(0)
                yield Token("x")
        finally:
            closed.append(True)

    reply = Reply("job", 1.0, "tiny", n=2)
    streams = [endless(), given_events(Failed("worker_lost", "It died."))]
    async with asyncio.timeout(5):
        *_, frame, done = [line async for line in reply.stream(together(streams), True)]
        assert parse(frame)[1]["error"]["code"] == "worker_lost"
        while not closed:
            await asyncio.sleep(0)
    assert done == DONE


# --- thoughts -----------------------------------------------------------------------

THOUGHT = "<think>\nA cat?\n</think>\n\nA dog."


@pytest.mark.parametrize("n", [1, 3, 7, len(THOUGHT)])
async def test_thoughts_are_apart_from_the_answer(n: int) -> None:
    answer = Finished(Answer(THOUGHT, "stop"))
    [choice] = REPLY.complete([answer.answer])["choices"]
    assert choice["message"]["content"] == "A dog."
    assert choice["message"]["reasoning_content"] == "A cat?"
    events = [Token(THOUGHT[at : at + n]) for at in range(0, len(THOUGHT), n)]
    sent = await lines(*events, answer)
    assert text_of(sent) == "A dog."
    deltas = [choice["delta"] for _, choice in chunks(sent)]
    thoughts = [delta.get("reasoning_content", "") for delta in deltas]
    assert "".join(thoughts) == "A cat?"
    for skip in (5, 12, len(THOUGHT) - 4):
        rest = await lines(*events, answer, skip=skip)
        assert text_of(rest) == "A dog."[-4 if skip > 12 else 0 :]


# --- logprobs -----------------------------------------------------------------------

PIECES = ["A", " ", "\xe7", "\x8c\xab", " and", " a", " dog", "."]  # of TEXT
LOGPROBS = tuple(
    TokenLogprob(piece, -0.5 * n, (("A", -0.1), (piece, -0.5 * n)))
    for n, piece in enumerate(PIECES)
)
ANSWER = Answer(TEXT, "stop", Usage(70, 5), logprobs=LOGPROBS)


def with_logprobs(events: list[Token]) -> list[Token]:
    """The same events, as the engine emits them."""
    logprobs = ShownLogprobs()
    for one in LOGPROBS:
        logprobs.add(one.token.encode("latin-1"), one)
    return [Token(each.text, logprobs.show(each.text)) for each in events]


def entries(sent: list[str]) -> list[dict[str, Any]]:
    found = [choice.get("logprobs") or {} for _, choice in chunks(sent)]
    return [entry for one in found for entry in one.get("content", ())]


def test_logprobs_are_in_openai_s_shape() -> None:
    [choice] = REPLY.complete([ANSWER])["choices"]
    content = choice["logprobs"]["content"]
    assert choice["logprobs"]["refusal"] is None
    assert [entry["token"] for entry in content[:4]] == [
        "A",
        " ",
        "\\xe7",
        "\\x8c\\xab",
    ]
    assert content[2]["bytes"] == [0xE7]
    assert [entry["logprob"] for entry in content[:3]] == [0, -0.5, -1]
    assert content[4]["top_logprobs"] == [
        {"token": "A", "logprob": -0.1, "bytes": [65]},
        {"token": " and", "logprob": -2, "bytes": [*b" and"]},
    ]
    raw = bytes(byte for entry in content for byte in entry["bytes"])
    assert raw.decode() == TEXT
    assert REPLY.complete([FINISHED.answer])["choices"][0]["logprobs"] is None


@settings(max_examples=60)
@given(cuts)
async def test_logprobs_are_streamed_with_their_text(cut: list[int]) -> None:
    whole = REPLY.complete([ANSWER])["choices"][0]["logprobs"]["content"]
    shown = with_logprobs(tokens(*cut))
    sent = await lines(*shown, Finished(ANSWER))
    assert (text_of(sent), entries(sent)) == (TEXT, whole)
    assert entries(await lines(*shown[:1], Finished(ANSWER))) == whole
    lost = await lines(*shown[:2], Retried(), *shown, Finished(ANSWER))
    assert (text_of(lost), entries(lost)) == (TEXT, whole)


@pytest.mark.parametrize("skip", range(len(TEXT) + 1))
async def test_logprobs_go_on_where_the_text_was_left(skip: int) -> None:
    whole = REPLY.complete([ANSWER])["choices"][0]["logprobs"]["content"]
    starts = [sum(map(len, PIECES[:n])) for n in range(len(PIECES))]
    n_known = sum(start < len(TEXT[:skip].encode()) for start in starts)
    for events in ([], with_logprobs(tokens(2, 5, 9))):
        sent = await lines(*events, Finished(ANSWER), skip=skip)
        assert entries(sent) == whole[n_known:]


# --- when headers may go ------------------------------------------------------------


async def test_a_stream_begins_when_the_question_is_accepted() -> None:
    events = given_events(Accepted(70), Queued(1), Started(70), FINISHED)
    begun = await asyncio.wait_for(await_start(events), 1)
    assert [event async for event in begun] == [
        Accepted(70),
        Queued(1),
        Started(70),
        FINISHED,
    ]


@pytest.mark.parametrize("before", [[Started(70)], [Token("A")], []])
async def test_a_stream_begins_with_the_first_sign_of_acceptance(
    before: list[Event],
) -> None:
    begun = await await_start(given_events(*before, FINISHED))
    assert [event async for event in begun] == [*before, FINISHED]


@pytest.mark.parametrize("before", [[], [None], [Queued(3, 9.0)]])
async def test_a_refusal_before_the_first_byte_is_an_error(
    before: list[Event | None],
) -> None:
    with pytest.raises(InvalidRequest, match="Too long"):
        await await_start(given_events(*before, REFUSED))


@pytest.mark.parametrize("quiet", [None, Queued(3, 9.0)])
async def test_a_stream_begins_after_two_quiet_seconds_all_the_same(
    quiet: Event | None,
) -> None:
    """So that a waiting client sees its queue position."""
    said = 0

    async def events() -> AsyncIterator[Event | None]:
        nonlocal said
        for event in (quiet, quiet, REFUSED):
            said += 1
            yield event

    begun = await await_start(events())
    assert said == 2
    assert [event async for event in begun] == [quiet, REFUSED]


async def test_one_quiet_second_does_not_begin_a_stream() -> None:
    events = given_events(Queued(3), REFUSED)
    with pytest.raises(InvalidRequest):
        await await_start(events)


@pytest.mark.parametrize("first", [Accepted(70), Started(70), Token("A"), FINISHED])
async def test_a_stream_begins_with_acceptance_after_a_quiet_second(
    first: Event,
) -> None:
    begun = await await_start(given_events(Queued(3), first, FINISHED))
    assert (await anext(begun)) == first


async def test_events_that_merely_stop_are_an_error() -> None:
    for read in (await_start, await_answer):
        with pytest.raises(EngineError, match="without an answer"):
            await read(given_events(None))


# --- a whole answer ------------------------------------------------------------------


async def test_a_whole_answer_is_the_last_event() -> None:
    events = given_events(Queued(1), None, *tokens(3)[:1], Retried(), FINISHED)
    assert await await_answer(events) == FINISHED.answer
    with pytest.raises(InvalidRequest):
        await await_answer(given_events(Queued(1), REFUSED))


def test_a_complete_reply_has_the_same_envelope() -> None:
    body = REPLY.complete([FINISHED.answer])
    assert (body["id"], body["created"]) == ("chatcmpl-job", 1700000000)
    assert body["object"] == "chat.completion"
    [choice] = body["choices"]
    assert choice["message"]["content"] == TEXT
    assert choice["finish_reason"] == "stop"
    assert body["usage"]["completion_tokens"] == 5


def test_a_stream_is_neither_kept_nor_collected_on_its_way() -> None:
    response = event_stream(given_events(), {"x-job-id": "job"})
    assert response.media_type == "text/event-stream"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["x-job-id"] == "job"
