"""A known answer is given at once, even when the queue is full."""

from __future__ import annotations

from typing import Any

import pytest

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
