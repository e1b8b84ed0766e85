"""The API as clients use it: the openai package, through nginx, queue and engine."""

from __future__ import annotations

import asyncio
import base64
import io
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import openai
import pytest
from openai import AsyncOpenAI
from PIL import Image

from edge.jobs.channel import QUIET_MS
from tests.stack.answer_cache import attempts
from tests.stack.conftest import LEAVES_S, N_TRIES, Stack, rounds
from ui.event_streams import QUIET_STARTS

pytestmark = [pytest.mark.stack, pytest.mark.nginx, pytest.mark.model]

DataUrl = Callable[..., str]
QUIET_S = QUIET_STARTS * QUIET_MS / 1000  # then a stream begins, whatever follows
WHICH = "What shape is this, and which colour?"


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[AsyncOpenAI]:
    async with open_client(stack) as one:
        yield one


def open_client(stack: Stack) -> AsyncOpenAI:
    return AsyncOpenAI(
        base_url=f"{stack.url}/v1",
        api_key="unused",
        max_retries=0,
        http_client=stack.async_sdk_client(),
    )


def picture_question(url: str, text: str = "What is this?") -> list[dict[str, Any]]:
    content = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": text},
    ]
    return [{"role": "user", "content": content}]


async def collect(stream: Any) -> tuple[str, list[Any]]:
    chunks = [chunk async for chunk in stream]
    texts = [c.choices[0].delta.content or "" for c in chunks if c.choices]
    return "".join(texts), chunks


async def test_an_answer_is_streamed(client, data_url) -> None:
    stream = await client.chat.completions.create(
        model="tiny",
        messages=picture_question(data_url("red"), "Describe this picture."),
        stream=True,
        stream_options={"include_usage": True},
    )
    text, chunks = await collect(stream)
    pieces = [c for c in chunks if c.choices and c.choices[0].delta.content]
    assert text == "The picture shows a red circle at the top left."
    assert (
        pieces
    )  # one or several: `tiny` needs less than the 0.1 s that text is joined
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].usage.completion_tokens >= len(pieces)
    assert chunks[-1].usage.prompt_tokens > 60  # the picture is most of it


async def test_whole_and_streamed_answers_are_equal(client, data_url) -> None:
    question = picture_question(data_url("green"), "Stream or not?")
    whole = await client.chat.completions.create(
        model="tiny", messages=question, max_tokens=30, temperature=0
    )
    stream = await client.chat.completions.create(
        model="tiny", messages=question, max_tokens=30, temperature=0, stream=True
    )
    assert (await collect(stream))[0] == whole.choices[0].message.content


async def test_four_clients_get_their_own_answers(client, data_url) -> None:
    shown = [
        ("red", "circle"),
        ("blue", "square"),
        ("green", "triangle"),
        ("black", "circle"),
    ]

    async def ask(colour: str, shape: str) -> str:
        reply = await client.chat.completions.create(
            model="tiny",
            messages=picture_question(data_url(colour, shape=shape), WHICH),
        )
        return reply.choices[0].message.content

    replies = await asyncio.gather(*(ask(*one) for one in shown * 2))
    assert replies == [f"A {colour} {shape}." for colour, shape in shown * 2]


async def test_questions_and_answers_in_chinese(client, data_url) -> None:
    reply = await client.chat.completions.create(
        model="tiny",
        messages=picture_question(data_url("blue"), "请描述这张图片的内容。"),
    )
    assert reply.choices[0].message.content == "图中左上角有一个蓝色的圆形。"


async def test_a_follow_up_is_about_the_same_picture(client, data_url) -> None:
    messages = picture_question(data_url("green", shape="square"), "What shape is it?")
    for follow_up in ("And what colour is it?", None):
        reply = await client.chat.completions.create(model="tiny", messages=messages)
        text = reply.choices[0].message.content
        if follow_up:
            assert text == "A square."
            messages.append({"role": "assistant", "content": text})
            messages.append({"role": "user", "content": follow_up})
    assert text == "Green."


async def test_an_unknown_object_is_admitted(client) -> None:
    reply = await client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": "What is the capital of France?"}],
    )
    assert reply.choices[0].message.content == (
        "I only know simple shapes, colours and numbers."
    )


async def test_a_repeated_question_comes_from_the_cache(
    client, stack, data_url
) -> None:
    raw = client.chat.completions.with_raw_response
    for n in attempts(stack):
        question = picture_question(data_url("orange", n), "Again?")
        first = await raw.create(model="tiny", messages=question, max_tokens=20)
        second = await raw.create(model="tiny", messages=question, max_tokens=20)
        if second.headers["x-cache"] == "hit":
            break
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "hit")
    one, two = first.parse(), second.parse()
    assert one.choices[0].message.content == two.choices[0].message.content
    assert one.id != two.id


async def test_a_sampled_answer_is_never_cached(client, data_url) -> None:
    question = picture_question(data_url("purple"), "Chance?")
    raw = client.chat.completions.with_raw_response
    for _ in range(2):
        reply = await raw.create(
            model="tiny", messages=question, max_tokens=10, temperature=1
        )
        assert reply.headers["x-cache"] == "miss"


async def test_a_conversation_with_two_pictures_is_answered(client, data_url) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        *picture_question(data_url("red", size=(640, 480)), WHICH),
        {"role": "assistant", "content": "A red circle."},
        *picture_question(data_url("blue", size=(640, 480), shape="square"), WHICH),
    ]
    reply = await client.chat.completions.create(model="tiny", messages=messages)
    assert reply.choices[0].message.content == "A blue square."


async def test_a_conversation_that_is_too_long_loses_its_oldest(
    client, data_url
) -> None:
    messages = [
        {"role": "user", "content": "word " * 9000},
        {"role": "assistant", "content": "Yes."},
        *picture_question(data_url("red", size=(640, 480)), WHICH),
    ]
    ask = client.chat.completions.create
    reply = await ask(model="tiny", messages=messages, extra_body={"truncate": "auto"})
    assert reply.choices[0].message.content == "A red circle."
    assert reply.dropped_messages == 2
    with pytest.raises(openai.BadRequestError, match="maximum context length is 8192"):
        await ask(model="tiny", messages=messages)


async def test_text_without_a_picture_is_answered(client) -> None:
    reply = await client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "你好"}], max_tokens=5
    )
    assert reply.choices[0].message.content


@pytest.mark.parametrize(("detail", "n_tokens"), [("auto", 1024), ("low", 256)])
async def test_a_large_picture_passes_the_front_door(
    slow_stack, detail: str, n_tokens: int
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2000, 2500, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    url = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    assert len(url) > 15_000_000
    async with open_client(slow_stack) as client:
        messages = picture_question(url)
        [picture] = [p for p in messages[0]["content"] if p["type"] == "image_url"]
        picture["image_url"]["detail"] = detail
        reply = await client.chat.completions.create(
            model="", messages=messages, max_tokens=5
        )
    # scaled down to the budget
    assert 0.85 * n_tokens < reply.usage.prompt_tokens < n_tokens + 80


async def test_the_served_model_is_listed(client) -> None:
    for _ in range(N_TRIES):  # a starved worker is soon back
        if (models := await client.models.list()).data:
            break
        await asyncio.sleep(1)
    [model] = models.data
    assert model.id == "tiny"
    assert (
        "only simple shapes" in model.description
    )  # not to be mistaken for the real one


@pytest.mark.parametrize(
    ("change", "kind", "code"),
    [
        ({"model": "gpt-5"}, openai.NotFoundError, "model_not_found"),
        ({"messages": []}, openai.BadRequestError, "invalid_request"),
        ({"temperature": 9}, openai.BadRequestError, "invalid_request"),
        (
            {"extra_body": {"prompt_logprobs": 1}},
            openai.BadRequestError,
            "unsupported_parameter",
        ),
        (
            {"messages": [{"role": "user", "content": "1" * 9000}]},
            openai.BadRequestError,
            "context_length_exceeded",
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_bad_request_is_refused_before_the_first_byte(
    client, change, kind, code, stream
) -> None:
    good = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
    began, is_late = time.monotonic(), False
    with pytest.raises(openai.APIError) as refusal:
        reply = await client.chat.completions.create(
            **{**good, "stream": stream, **change}
        )
        is_late = stream and time.monotonic() - began > QUIET_S
        assert is_late
        await collect(reply)
    assert is_late or isinstance(refusal.value, kind)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://example.com/a.png", "url_not_allowed"),
        ("file:///etc/passwd", "url_not_allowed"),
        ("data:image/png;base64,AAAA", "invalid_image"),
        ("data:image/png;base64,@@", "invalid_image"),
        ("data:text/html;base64,aGVsbG8=", "invalid_image"),
    ],
)
async def test_a_bad_picture_is_refused_by_its_position(client, url, code) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        await client.chat.completions.create(
            model="tiny", messages=picture_question(url)
        )
    assert refusal.value.code == code
    assert refusal.value.param == "messages[0].content[0].image_url"


def test_health_and_readiness_are_reported(stack: Stack) -> None:
    assert stack.get("/health").json() == {"status": "ok"}
    ready = stack.get("/ready")
    assert ready.status_code == 200
    assert ready.json() == {
        "status": "ready",
        "models": ["tiny"],
        "vision": ["openvino int8"],
        "runtime": ["openvino int8"],
        "slots": 4,
    }


def test_an_unknown_path_is_json(stack: Stack) -> None:
    with stack.client() as http:
        for path in ("/v1/nothing", "//v1/models", "/chat/completions"):
            reply = http.get(f"{stack.url}{path}")
            assert reply.status_code == 404
            assert reply.json()["error"]["code"] == "not_found"
        reply = http.get("/v1/chat/completions")
        assert (reply.status_code, reply.headers["allow"]) == (405, "POST")
        assert reply.json()["error"]["code"] == "method_not_allowed"
        assert http.head("/health").status_code == 200


async def seconds_until_free(client: AsyncOpenAI, n: int, *, stream: bool) -> float:
    """How long a question waits for the slot of one whose client has left."""
    question: Any = [{"role": "user", "content": f"A long story, {n}, {stream}"}]
    asking: Any = asyncio.ensure_future(
        client.chat.completions.create(model="", messages=question, stream=stream)
    )
    if stream:
        await anext(aiter(await asking))
        await asking.result().close()
    else:
        await asyncio.sleep(1.5)
        asking.cancel()
    started = time.monotonic()
    short = await client.chat.completions.create(
        model="",
        messages=[{"role": "user", "content": f"hi {n}"}],
        max_tokens=3,
        seed=int(stream),
    )
    assert short.choices[0].message.content
    return time.monotonic() - started


@pytest.mark.parametrize("stream", [True, False])
async def test_a_disconnected_client_frees_its_slot(slow_stack, stream: bool) -> None:
    async with open_client(slow_stack) as client:
        for waits_s in rounds(LEAVES_S):
            one_s = await seconds_until_free(client, len(waits_s), stream=stream)
            waits_s.append(one_s)
    assert min(waits_s) < LEAVES_S


async def test_an_abandoned_stream_does_not_affect_the_next(slow_stack) -> None:
    """Streams that are cut must not leak text into others."""
    async with open_client(slow_stack) as client:
        for i in range(3):
            stream = await client.chat.completions.create(
                model="",
                messages=[{"role": "user", "content": f"Cut {i}"}],
                stream=True,
            )
            await anext(aiter(stream))
            await stream.close()
        reply = await client.chat.completions.create(
            model="", messages=[{"role": "user", "content": "whole"}], max_tokens=12
        )
        assert reply.usage.completion_tokens == 12
