"""Several answers to one question, over a real Redis and a stub of the engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from edge.jobs import keys
from tests.ui.api_harness import ApiHarness, api_harness, code_of

pytestmark = pytest.mark.redis
WARM = {"temperature": 0.7, "seed": 5}


@pytest.fixture
async def web(broker_url: str) -> AsyncIterator[ApiHarness]:
    async with api_harness(broker_url) as one:
        one.beat("here-1", n_slots=4)
        yield one


async def post(web: ApiHarness, **body: Any) -> httpx.Response:
    return await web.http.post("/v1/chat/completions", json=web.body() | body)


async def test_each_sampled_answer_has_a_job_and_a_seed(web: ApiHarness) -> None:
    asking = asyncio.create_task(post(web, n=3, **WARM))
    await web.until(lambda: len(web.waiting) == 3)
    texts = [web.sync.hget(keys.JOB(job_id), "request") for job_id in web.waiting]
    assert [json.loads(text)["sampling"]["seed"] for text in texts] == [5, 6, 7]
    async with web.working():
        reply = await asking
    body = reply.json()
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert body["usage"]["completion_tokens"] == 30
    assert len(reply.headers["x-job-id"].split(", ")) == 3
    assert web.live == []


async def test_equal_answers_are_one_job(web: ApiHarness) -> None:
    async with web.working():
        reply = await post(web, n=3)
        again = await post(web, n=2)
    texts = [choice["message"]["content"] for choice in reply.json()["choices"]]
    assert len(texts) == 3 and len(set(texts)) == 1
    assert len(web.sync.keys(keys.JOB("*"))) == 1
    assert again.headers["x-cache"] == "hit"
    assert len(again.json()["choices"]) == 2


async def test_answers_are_streamed_together(web: ApiHarness) -> None:
    async with web.working():
        body = web.body() | WARM | {"n": 2, "stream": True}
        reply = await web.http.post("/v1/chat/completions", json=body)
    frames = [line for line in reply.text.split("\n") if line.startswith("data: {")]
    choices = [json.loads(frame[6:])["choices"] for frame in frames]
    ends = [c["index"] for [c] in choices if c["finish_reason"]]
    assert sorted(ends) == [0, 1]


@pytest.mark.parametrize("stream", [False, True])
async def test_all_jobs_end_when_their_client_leaves(
    web: ApiHarness, stream: bool
) -> None:
    asking = asyncio.create_task(post(web, n=3, stream=stream, **WARM))
    await web.until(lambda: len(web.live) == 3)
    asking.cancel()
    await web.until(lambda: web.live == [])


@pytest.mark.parametrize("n", [5, 128])
@pytest.mark.parametrize("temperature", [0, 1])
async def test_there_are_no_more_answers_than_slots(
    web: ApiHarness, n: int, temperature: int
) -> None:
    reply = await post(web, n=n, temperature=temperature)
    assert code_of(reply) == (400, "invalid_request")
    assert reply.json()["error"]["param"] == "n"
    assert "at most 4" in reply.json()["error"]["message"]
    assert web.sync.keys(keys.JOB("*")) == []


async def test_a_name_is_of_one_answer(web: ApiHarness) -> None:
    headers = {"idempotency-key": "a"}
    body = web.body() | WARM | {"n": 2}
    url = "/v1/chat/completions"
    reply = await web.http.post(url, json=body, headers=headers)
    assert code_of(reply) == (400, "invalid_request")
    assert reply.json()["error"]["param"] == "n"
