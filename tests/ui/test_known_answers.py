"""A known answer is given at once, even when the queue is full."""

from __future__ import annotations

from typing import Any

import pytest

from edge.stubs.runtime import END
from tests.ui.api_harness import ApiHarness, code_of
from tests.ui.pictures import part, png

pytestmark = pytest.mark.redis
HARNESS = {"backlog": 0}  # room for one job in all


def picture_question(**more: Any) -> dict[str, Any]:
    content = [part(png()), {"type": "text", "text": "What is it?"}]
    return {"messages": [{"role": "user", "content": content}], "max_tokens": 8} | more


async def ask(web: ApiHarness, question: dict[str, Any], **headers: str) -> Any:
    path = "/v1/chat/completions"
    return await web.http.post(path, json=question, headers=headers)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_known_answer_needs_no_reservation(
    web: ApiHarness, stream: bool
) -> None:
    async with web.working():
        first = await ask(web, picture_question())
    full = web.asking("something else", key="other")
    await web.until(lambda: web.live)
    assert code_of(await web.post("a third")) == (429, "queue_full")
    again = await ask(web, picture_question(stream=stream))
    assert (first.headers["x-cache"], again.headers["x-cache"]) == ("miss", "hit")
    assert "x-job-id" in first.headers
    assert "x-job-id" not in again.headers
    text = first.json()["choices"][0]["message"]["content"]
    assert f'"{text}"' in again.text
    full.cancel()


async def test_a_name_gives_each_answer_a_job(web: ApiHarness) -> None:
    """Its client may come back for it."""
    async with web.working():
        await ask(web, picture_question())
        named = await ask(web, picture_question(), **{"idempotency-key": "abc"})
        again = await ask(web, picture_question(), **{"idempotency-key": "abc"})
    assert again.status_code == 200
    assert named.json()["choices"] == again.json()["choices"]
    assert named.json()["id"] == again.json()["id"]


async def test_a_sampled_answer_is_computed_again(web: ApiHarness) -> None:
    async with web.working():
        for _ in range(2):
            reply = await ask(web, picture_question(temperature=1.0))
            assert reply.headers["x-cache"] == "miss"


async def test_another_model_is_not_answered_from_memory(web: ApiHarness) -> None:
    async with web.working():
        await ask(web, picture_question())
        reply = await ask(web, picture_question(model="other"))
    assert code_of(reply) == (404, "model_not_found")


MESSAGES = [{"role": "user", "content": "What is it?"}]
BODIES = {
    "/v1/chat/completions": {"messages": MESSAGES},
    "/v1/completions": {"prompt": "It is"},
    "/v1/responses": {"input": "What is it?"},
    "/v1/messages": {"messages": MESSAGES, "max_tokens": 8},
    "/api/chat": {"messages": MESSAGES, "options": {"temperature": 0}},
    "/api/generate": {"prompt": "What is it?", "options": {"temperature": 0}},
}
every_api = pytest.mark.parametrize("path", BODIES)


@every_api
async def test_no_store_neither_uses_nor_leaves_an_answer(
    web: ApiHarness, path: str
) -> None:
    async def cached(**more: str) -> str:
        reply = await web.http.post(path, json={**BODIES[path], **more})
        assert reply.status_code == 200, reply.text
        return reply.headers["x-cache"]

    async with web.working():
        assert await cached(cache="no-store") == "miss"
        assert await cached() == "miss"
        assert await cached() == "hit"
        assert await cached(cache="no-store") == "miss"
        assert await cached(cache="refresh") == "miss"
        assert await cached(cache="default") == "hit"


@every_api
async def test_an_unknown_word_about_caches_is_refused(
    web: ApiHarness, path: str
) -> None:
    reply = await web.http.post(path, json={**BODIES[path], "cache": "no-cache"})
    assert reply.status_code == 400
    assert "cache" in reply.text


async def test_refresh_leaves_the_new_answer(web: ApiHarness) -> None:
    async with web.working():
        await ask(web, picture_question())
        web.runtime._script = [*b"Another", END]
        await ask(web, picture_question(cache="refresh"))
        again = await ask(web, picture_question())
    assert again.headers["x-cache"] == "hit"
    assert again.json()["choices"][0]["message"]["content"] == "Another"


async def test_the_usage_of_a_known_answer_counts_its_prompt_as_cached(
    web: ApiHarness,
) -> None:
    async with web.working():
        first = (await ask(web, picture_question())).json()["usage"]
        again = (await ask(web, picture_question())).json()["usage"]
    assert first["prompt_tokens_details"]["cached_tokens"] == 0
    assert again["prompt_tokens_details"]["cached_tokens"] == again["prompt_tokens"]
