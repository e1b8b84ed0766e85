"""The answer cache: exact, honest about age, and never in the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import fields, replace
from typing import Any

import pytest

from edge.redis_clients import async_client
from edge.request import Answer, Message, PictureRef, Request, SamplingParams
from edge.usage import Usage
from ui.answer_cache import AnswerCache, answer_key

RED, BLUE = PictureRef("r" * 64, 8, 8), PictureRef("b" * 64, 8, 8)
REQUEST = Request((Message("user", (RED, BLUE, "which?")),), SamplingParams(), "tiny")
ANSWER = Answer("红色", "stop", Usage(10, 2))
OTHER_VALUES: dict[str, Any] = {
    "max_tokens": 7,
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 3,
    "min_p": 0.1,
    "presence_penalty": 1.0,
    "frequency_penalty": 1.0,
    "repeat_penalty": 1.1,
    "logit_bias": ((7, 1.0),),
    "grammar": "{}",
    "seed": 1,
    "stop": ("\n",),
    "min_tokens": 3,
    "ignore_eos": True,
    "stop_token_ids": (7,),
    "logprobs": 0,
    "thinking_budget": 9,
}


def ask(*content: str | PictureRef) -> Request:
    return replace(REQUEST, messages=(Message("user", content),))


def test_equal_questions_have_equal_keys() -> None:
    again = Request.from_json(REQUEST.to_json())
    assert answer_key(REQUEST, "f") == answer_key(again, "f")


def test_the_name_a_model_was_asked_by_does_not_matter() -> None:
    assert answer_key(replace(REQUEST, model=""), "f") == answer_key(REQUEST, "f")


@pytest.mark.parametrize("field", [f.name for f in fields(SamplingParams)])
def test_every_sampling_field_counts(field: str) -> None:
    changed = replace(SamplingParams(), **{field: OTHER_VALUES[field]})
    other = replace(REQUEST, sampling=changed)
    assert answer_key(other, "f") != answer_key(REQUEST, "f")


@pytest.mark.parametrize(
    "other",
    [
        ask(BLUE, RED, "which?"),
        ask(RED, "which?"),
        ask(RED, BLUE, "which"),
        ask("which?", RED, BLUE),
        replace(REQUEST, messages=(Message("system", ("x",)), *REQUEST.messages)),
    ],
)
def test_every_change_of_the_conversation_counts(other: Request) -> None:
    assert answer_key(other, "f") != answer_key(REQUEST, "f")


def test_the_model_files_count() -> None:
    assert answer_key(REQUEST, "f") != answer_key(REQUEST, "g")


@pytest.fixture
async def cache(broker_url: str) -> AsyncIterator[AnswerCache]:
    redis = async_client(broker_url)
    yield AnswerCache(redis, ttl_s=60)
    await redis.aclose()


@pytest.mark.redis
async def test_an_answer_comes_back_as_it_was(cache: AnswerCache) -> None:
    assert await cache.get("edge:answer:x") is None
    await cache.put("edge:answer:x", ANSWER)
    usage = replace(ANSWER.usage, cached_tokens=ANSWER.usage.prompt_tokens)
    assert await cache.get("edge:answer:x") == replace(ANSWER, usage=usage)


@pytest.mark.redis
async def test_an_answer_is_forgotten_in_time(cache, broker_url) -> None:
    await cache.put("edge:answer:x", ANSWER)
    redis = async_client(broker_url)
    assert 0 < await redis.ttl("edge:answer:x") <= 60
    await redis.aclose()


@pytest.mark.redis
@pytest.mark.parametrize("junk", ["", "{", "[]", "{}", '{"text": 1}', "\xff"])
async def test_a_damaged_entry_is_a_miss(cache, broker_url, junk: str) -> None:
    redis = async_client(broker_url)
    await redis.set("edge:answer:x", junk)
    assert await cache.get("edge:answer:x") is None
    await redis.aclose()


async def test_a_cache_that_is_gone_is_an_empty_one() -> None:
    redis = async_client("redis://127.0.0.1:1/0")
    cache = AnswerCache(redis, ttl_s=60)
    await cache.put("edge:answer:x", ANSWER)
    assert await cache.get("edge:answer:x") is None
    await redis.aclose()
