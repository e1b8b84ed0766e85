"""A known answer is given at once, by API and page, even when the queue is full."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge.caller import ANONYMOUS, Caller
from tests.ui.api_harness import ApiHarness, code_of
from tests.ui.pictures import part, png
from ui.chat_functions import READY, ChatFunctions
from ui.uploads import Uploads

pytestmark = pytest.mark.redis
HARNESS = {"backlog": 0}  # room for one job in all

ME = Caller(ANONYMOUS, "me", "127.0.0.1", "me")


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


# --- the page -----------------------------------------------------------------------


async def ask_page(page: ChatFunctions, text: str, *files: str) -> str:
    """The last text that the page shows as the answer."""
    state = SimpleNamespace(caller=ME, key=None)
    sender = SimpleNamespace(state=state, headers={}, scope={})
    http: Any = SimpleNamespace(headers={}, request=sender)
    states = page.ask({"text": text, "files": [*files]}, [], http)
    *_, (box, history) = [state async for state in states]
    assert box == {**READY, "value": {"text": "", "files": []}}
    return str(history[-1]["content"])


async def test_the_page_gives_a_known_answer_when_the_queue_is_full(
    web: ApiHarness, tmp_path: Path
) -> None:
    uploads = Uploads(tmp_path / "uploads")
    upload = uploads.add(ME.name, ME.address, "red.png", png())
    page = ChatFunctions(web.client, uploads)
    async with web.working():
        first = await ask_page(page, "What is it?", str(upload.path))
    full = web.asking("something else", key="other")
    await web.until(lambda: web.live)
    refusal = await ask_page(page, "What else?", str(upload.path))
    assert refusal.startswith("All 1 ")
    assert await ask_page(page, "What is it?", str(upload.path)) == first != refusal
    full.cancel()
