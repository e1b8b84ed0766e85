"""Fields of Chat Completions that change the answer, with OpenAI's client."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.stack.conftest import Stack
from tests.stack.test_api import open_client, picture_question

pytestmark = [pytest.mark.stack, pytest.mark.nginx, pytest.mark.model]

DataUrl = Callable[..., str]
ANSWER = "A red circle."


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[AsyncOpenAI]:
    async with open_client(stack) as one:
        yield one


@pytest.fixture
def question(data_url: DataUrl) -> list[dict[str, Any]]:
    return picture_question(data_url("red"), "What shape is this, and which colour?")


async def test_the_fewest_tokens_and_ignored_ends(client, question) -> None:
    create = client.chat.completions.create
    reply = await create(
        model="tiny",
        messages=question,
        max_tokens=300,
        extra_body={"ignore_eos": True},
    )
    assert reply.usage.completion_tokens == 300
    assert reply.choices[0].finish_reason == "length"
    assert reply.choices[0].message.content.startswith(ANSWER)
    reply = await create(
        model="tiny", messages=question, extra_body={"min_tokens": 20, "stop": ["."]}
    )
    assert reply.usage.completion_tokens > 20


async def test_more_tokens_than_the_context_has_are_fewer(client, question) -> None:
    reply = await client.chat.completions.create(
        model="tiny", messages=question, max_tokens=1_000_000
    )
    assert reply.choices[0].message.content == ANSWER
    assert reply.max_tokens == 8192 - reply.usage.prompt_tokens + 1


async def test_a_prompt_that_is_too_long_is_said_in_openai_s_words(client) -> None:
    messages = [{"role": "user", "content": "1" * 9000}]
    with pytest.raises(openai.BadRequestError) as refusal:
        await client.chat.completions.create(model="tiny", messages=messages)
    assert refusal.value.code == "context_length_exceeded"
    # litellm makes a ContextWindowExceededError of it by these words
    assert "This model's maximum context length is 8192 tokens" in str(refusal.value)


async def test_logprobs_are_the_same_whole_and_streamed(client, question) -> None:
    asked = {"model": "tiny", "messages": question, "logprobs": True, "top_logprobs": 3}
    reply = await client.chat.completions.create(**asked)
    content = reply.choices[0].logprobs.content
    assert "".join(entry.token for entry in content) == ANSWER
    assert bytes(b for entry in content for b in entry.bytes).decode() == ANSWER
    assert all(entry.top_logprobs[0].token == entry.token for entry in content)
    shares = [math.exp(one.logprob) for one in content[1].top_logprobs]
    assert len(shares) == 3 and 0.5 < sum(shares) <= 1
    async with client.chat.completions.stream(**asked) as stream:
        streamed = (await stream.get_final_completion()).choices[0]
    assert streamed.message.content == ANSWER
    assert streamed.logprobs.content == content
    plain = await client.chat.completions.create(model="tiny", messages=question)
    assert plain.choices[0].logprobs is None


async def test_several_answers_whole_and_streamed(client, question) -> None:
    asked = {"model": "tiny", "messages": question, "n": 3}
    reply = await client.chat.completions.create(**asked)
    assert [choice.message.content for choice in reply.choices] == [ANSWER] * 3
    warm = asked | {"temperature": 2, "seed": 3, "max_tokens": 12}
    warm["messages"] = [{"role": "user", "content": "Say what you like."}]
    reply = await client.chat.completions.create(**warm)
    texts = [choice.message.content for choice in reply.choices]
    assert len(set(texts)) > 1
    # company changes a logit in its last digits, and at this temperature the text too
    streamed = {0: "", 1: "", 2: ""}
    async for chunk in await client.chat.completions.create(**warm, stream=True):
        for choice in chunk.choices:
            streamed[choice.index] += choice.delta.content or ""
    assert all(streamed.values()) and len(streamed) == 3


async def test_a_batch_of_forty_is_answered_with_default_retries(
    stack: Stack, data_url: DataUrl
) -> None:
    """As `asyncio.gather` sends it: of one address, whose share is ten. Again, up to
    twice, where a worker stood still for longer than the retries last."""
    refused = openai.InternalServerError  # its worker is away
    async with AsyncOpenAI(base_url=f"{stack.url}/v1", api_key="unused") as client:
        create = client.chat.completions.create
        colours = ["red", "blue", "green", "black"]

        async def ask(i: int) -> str | None:
            url = data_url(colours[i % 4], i)
            messages = picture_question(url, f"Which colour is shape number {i}?")
            reply = await create(model="tiny", messages=messages, max_tokens=20)
            return reply.choices[0].message.content

        for first in (0, 40, 80):
            numbers = range(first, first + 40)
            asked = map(ask, numbers)
            answers = await asyncio.gather(*asked, return_exceptions=True)
            if not any(isinstance(one, refused) for one in answers):
                break
    assert all(isinstance(one, str) and one for one in answers), answers
