"""The limits of a key over HTTP: refusals, and headers with the rest of each quota."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import redis
from PIL import Image

from edge import keys
from edge.jobs.fleet import Heart, WorkerInfo
from edge.keys import create_key
from edge.limits import Limits
from tests.images.pdf_files import drawn
from tests.images.test_pdf import COLOURS, plain
from tests.jobs.jobs_harness import young_minute
from tests.ui.api_harness import ApiHarness, api_harness, code_of

pytestmark = pytest.mark.redis


class Keyed:
    """A server that needs keys, over a worker that answers."""

    def __init__(self, web: ApiHarness, path: Path) -> None:
        self.web = web
        self._path = path

    def key(self, name: str, limits: str = "", *, is_admin: bool = False) -> str:
        return create_key(self._path, name, Limits.read(limits), is_admin=is_admin)

    async def get(self, path: str, key: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"}
        return await self.web.http.get(path, headers=headers)


@pytest.fixture
async def server(
    broker_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Keyed]:
    monkeypatch.setattr(keys, "LOOK_S", 0.0)
    path = tmp_path / "keys.json"
    async with (
        api_harness(broker_url, keys_file=str(path), metrics_by_key=True) as web,
        web.working(),
    ):
        yield Keyed(web, path)


async def test_a_request_over_its_quota_gets_a_retry_after(
    server: Keyed,
) -> None:
    key = server.key("alice", "requests/minute=2, requests/day=50")
    await young_minute()
    for left in (1, 0):
        reply = await server.web.post(key=key)
        assert reply.status_code == 200
        assert reply.headers["x-ratelimit-limit-requests"] == "2"
        assert reply.headers["x-ratelimit-remaining-requests"] == str(left)
    reply = await server.web.post(key=key)
    assert code_of(reply) == (429, "rate_limit_exceeded")
    assert reply.headers["x-ratelimit-remaining-requests"] == "0"
    seconds = int(reply.headers["retry-after"])
    assert 1 <= seconds <= 60
    assert reply.headers["x-ratelimit-reset-requests"] == f"{seconds}s"
    assert (await server.web.post(key=server.key("bob"))).status_code == 200


async def test_known_answers_count_as_requests(server: Keyed) -> None:
    key = server.key("alice", "requests/day=2")
    seen = [(await server.web.post(key=key)).headers.get("x-cache") for _ in range(3)]
    assert seen == ["miss", "hit", None]


async def test_answer_tokens_are_taken_before_they_are_computed(server: Keyed) -> None:
    key = server.key("alice", "answer-tokens/day=100")
    reply = await server.web.post(key=key, n=60)
    assert reply.headers["x-ratelimit-remaining-tokens"] == "40"
    assert reply.json()["usage"]["completion_tokens"] == 60
    reply = await server.web.post("again", key=key, n=60)
    assert code_of(reply) == (429, "rate_limit_exceeded")
    assert "40 are left" in reply.json()["error"]["message"]
    assert (await server.web.post("again", key=key, n=40)).status_code == 200


@pytest.mark.parametrize("limit", ["answer-tokens/day=100", "image-tokens/day=16"])
async def test_who_comes_back_has_paid(server: Keyed, limit: str) -> None:
    """With the Idempotency-Key of an answer for which the quota was used up."""
    key = server.key("alice", limit)
    parts = [picture(128), {"type": "text", "text": "What?"}]
    message = {"role": "user", "content": parts}

    async def ask(name: str) -> httpx.Response:
        headers = {"idempotency-key": name, "authorization": f"Bearer {key}"}
        sent = {"messages": [message], "max_completion_tokens": 100}
        return await server.web.post(headers=headers, **sent)

    first, again, other = [await ask(name) for name in ("one", "one", "other")]
    assert first.status_code == again.status_code == 200
    assert first.headers["x-job-id"] == again.headers["x-job-id"]
    assert code_of(other) == (429, "rate_limit_exceeded")


def picture(size: int) -> dict[str, Any]:
    encoded = io.BytesIO()
    Image.new("RGB", (size, size), "red").save(encoded, "PNG")
    url = "data:image/png;base64," + base64.b64encode(encoded.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": url}}


async def test_picture_tokens_are_counted_before_they_are_computed(
    server: Keyed,
) -> None:
    key = server.key("alice", "image-tokens/day=20, answer-tokens/day=500")

    async def ask(size: int) -> httpx.Response:
        parts = [picture(size), {"type": "text", "text": f"What, at {size}?"}]
        message = {"role": "user", "content": parts}
        return await server.web.post(key=key, messages=[message])

    reply = await ask(128)  # 16 tokens
    assert reply.status_code == 200
    assert reply.headers["x-ratelimit-remaining-image-tokens"] == "4"
    assert code_of(await ask(96)) == (429, "rate_limit_exceeded")
    await server.web.until(lambda: not server.web.live)
    reply = await ask(64)
    assert reply.status_code == 200
    # what was refused has used no answer tokens
    assert reply.headers["x-ratelimit-remaining-tokens"] == "480"


async def test_a_question_that_reaches_no_worker_costs_no_picture_tokens(
    server: Keyed, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = server.key("alice", "image-tokens/day=20")
    parts = [picture(128), {"type": "text", "text": "What?"}]  # 16 tokens
    message = {"role": "user", "content": parts}

    async def enqueue(*_args: object, **_options: object) -> None:
        raise redis.ConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr(server.web.client._jobs, "enqueue", enqueue)
        reply = await server.web.post(key=key, messages=[message])
    assert code_of(reply) == (503, "service_unavailable")
    await server.web.until(lambda: not server.web.live)
    assert (await server.web.post(key=key, messages=[message])).status_code == 200


async def test_shown_pages_cost_what_they_cost_in_a_question(server: Keyed) -> None:
    limits = "image-tokens/day=30, requests/day=9"
    headers = {"authorization": f"Bearer {server.key('alice', limits)}"}
    data = base64.b64encode(drawn(*plain(*COLOURS))).decode()  # 12 tokens a page
    body = {"file": {"file_data": f"data:application/pdf;base64,{data}"}}
    reply = await server.web.http.post("/v1/pages", json=body, headers=headers)
    *pages, last = reply.text.strip().removesuffix("data: [DONE]").split("data: ")[1:]
    assert len(pages) == 2
    assert "rate_limit_exceeded" in last
    assert reply.headers["x-ratelimit-remaining-requests"] == "8"
    body["file"]["pages"] = "1"
    reply = await server.web.http.post("/v1/pages", json=body, headers=headers)
    assert code_of(reply) == (429, "rate_limit_exceeded")


async def test_counting_tokens_costs_a_request_alone(server: Keyed) -> None:
    limits = "image-tokens/day=20, answer-tokens/day=500, requests/day=3"
    headers = {"x-api-key": server.key("alice", limits)}
    data = picture(128)["image_url"]["url"].partition(",")[2]  # 16 tokens
    source = {"type": "base64", "media_type": "image/png", "data": data}
    blocks = [{"type": "image", "source": source}, {"type": "text", "text": "What?"}]
    body = {"max_tokens": 5, "messages": [{"role": "user", "content": blocks}]}
    for left in (2, 1):
        reply = await server.web.http.post(
            "/v1/messages/count_tokens", json=body, headers=headers
        )
        assert reply.json()["input_tokens"] > 16
        assert reply.headers["x-ratelimit-remaining-requests"] == str(left)
    reply = await server.web.http.post("/v1/messages", json=body, headers=headers)
    assert reply.json()["usage"]["output_tokens"] > 0
    assert reply.headers["x-ratelimit-remaining-image-tokens"] == "4"
    reply = await server.web.http.post("/v1/messages", json=body, headers=headers)
    assert (reply.status_code, reply.json()["error"]["type"]) == (
        429,
        "rate_limit_error",
    )


async def test_the_longest_answer_is_a_limit_and_a_default(server: Keyed) -> None:
    key = server.key("alice", "max-tokens=5")
    reply = await server.web.post(key=key, max_tokens=None)
    assert reply.json()["usage"]["completion_tokens"] == 5
    reply = await server.web.post(key=key, max_tokens=None, task="describe")
    assert reply.json()["max_tokens"] == 5  # not the task's
    reply = await server.web.post(key=key, n=6)
    assert code_of(reply) == (400, "invalid_request")
    assert reply.json()["error"]["param"] == "max_tokens"


async def test_ready_tasks_are_as_long_as_the_key_allows(server: Keyed) -> None:
    """The page sends the length that is shown here."""
    for limit, longest in (("max-tokens=256", 256), ("", 2048)):
        reply = await server.get("/v1/models/stub", server.key(f"k{longest}", limit))
        tasks = reply.json()["tasks"]
        assert max(task["max_tokens"] for task in tasks) == longest


async def test_a_key_asks_the_models_that_it_may(server: Keyed) -> None:
    web = server.web
    may, may_not = server.key("a", "models=stub|other"), server.key("b", "models=other")
    assert (await web.post(key=may)).status_code == 200
    for model in ("", "stub"):
        reply = await web.post(key=may_not, model=model)
        assert code_of(reply) == (403, "forbidden")
    assert code_of(await web.post(key=may_not, model="x")) == (404, "model_not_found")
    Heart(web.sync, WorkerInfo("x-1", "secret", "g", "stub", 1)).beat()
    for key, names in ((may, ["stub"]), (may_not, [])):
        reply = await server.get("/v1/models", key)
        assert [one["id"] for one in reply.json()["data"]] == names


async def test_jobs_of_a_key_are_its_own_limit(server: Keyed) -> None:
    web = server.web
    key = server.key("alice", "jobs=1")
    go = web.hold(after=20)
    slow = web.asking(key=key, n=100, stream=True)
    await web.until(lambda: web.running)
    reply = await web.post("another", key=key)
    assert code_of(reply) == (429, "client_limit")
    assert "You have 1 unfinished question" in reply.json()["error"]["message"]
    go.set()
    assert (await slow).status_code == 200


async def test_usage_is_shown_to_its_own_key(server: Keyed) -> None:
    alice, bob = server.key("alice", "requests/day=9"), server.key("bob")
    admin = server.key("root", is_admin=True)
    await server.web.post(key=alice)
    await server.web.post(key=alice)
    await server.web.post(key=bob, n=7)

    async def told(key: str) -> list[tuple[str, int, int, int]]:
        await server.web.until(lambda: not server.web.live)
        rows = (await server.get("/v1/usage?days=2", key)).json()["data"]
        names = ("key", "requests", "cached", "answer_tokens")
        return sorted(tuple(row[name] for name in names) for row in rows)

    assert await told(alice) == [("alice", 2, 1, 10)]
    assert await told(bob) == [("bob", 1, 0, 7)]
    assert await told(admin) == [("alice", 2, 1, 10), ("bob", 1, 0, 7)]
    reply = await server.get("/v1/usage", alice)
    assert reply.json()["limits"] == "requests/day=9"
    assert (await server.get("/v1/usage?days=0", alice)).status_code == 400
    assert (await server.get("/v1/usage?days=x", alice)).status_code == 400


async def test_metrics_tell_keys_apart_only_where_they_are_asked_to(
    server: Keyed, broker_url: str
) -> None:
    key = server.key("alice")
    await server.web.post(key=key)
    text = (await server.web.http.get("/metrics")).text
    id_ = key.split("_")[1]
    assert f'edge_key_requests_total{{key="{id_}",outcome="finished"}} 1.0' in text
    assert f'edge_key_tokens_total{{key="{id_}",kind="answer"}} 10.0' in text
    async with api_harness(broker_url, data_dir=Path("/nonexistent")) as plain:
        assert "edge_key" not in (await plain.http.get("/metrics")).text


async def test_priority_and_weight_change_the_position(
    broker_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "keys.json"
    given = {
        "low": "priority=low",
        "plain": "",
        "heavy": "weight=10",
        "high": "priority=high",
    }
    one = {name: create_key(path, name, Limits.read(given[name])) for name in given}
    async with api_harness(broker_url, keys_file=str(path)) as web:
        tasks = []
        for name in ("low", "plain", "plain", "heavy", "heavy", "high"):
            tasks.append(web.asking(f"{name} {len(tasks)}", key=one[name]))
            await web.until(lambda: len(web.live) == len(tasks))
        await web.until(lambda: len(web.waiting) == 6)
        order = []
        while claim := web.jobs.claim():
            [message] = claim.request.messages
            order.append(message.content[0])
        assert order == ["high 5", "plain 1", "heavy 3", "heavy 4", "plain 2", "low 0"]
        for task in tasks:
            task.cancel()


async def test_the_openai_client_shows_the_message(server: Keyed) -> None:
    """With a key, without one, and with one whose limits are reached."""
    key = server.key("alice", "requests/day=1, models=stub")

    def client(api_key: str) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            base_url="http://ui/v1",
            api_key=api_key,
            http_client=server.web.http,
            max_retries=0,
        )

    async def ask(api_key: str, model: str = "stub") -> str | None:
        reply = await client(api_key).chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Hello"}], max_tokens=3
        )
        return reply.choices[0].message.content

    assert await ask(key) == "0 1"
    with pytest.raises(
        openai.RateLimitError, match=r"1 requests.*Try again in"
    ) as full:
        await ask(key)
    assert full.value.response.headers["x-ratelimit-remaining-requests"] == "0"
    with pytest.raises(openai.AuthenticationError, match="not valid here"):
        await ask("unused")
    with pytest.raises(openai.PermissionDeniedError, match="allows other models"):
        await ask(server.key("bob", "models=other"))
    assert [model.id async for model in client(key).models.list()] == ["stub"]


async def test_a_lost_broker_is_not_an_internal_error(
    server: Keyed, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = server.key("alice", "requests/day=5")
    assert (await server.web.post(key=key)).status_code == 200

    async def away(*_: Any) -> None:
        raise ConnectionError("gone")

    monkeypatch.setattr(server.web.client.ledger, "charge", away)
    reply = await server.web.post("another", key=key)
    assert code_of(reply) == (503, "service_unavailable")
    assert reply.headers["retry-after"]
